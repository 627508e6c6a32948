"""What a suite, or a comparison, came to: its tables as text, data frames, pictures and LaTeX, made from records."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.surroundings import alone
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from fusionbench.report.tables import Table


@dataclass
class Results:
    """The runs of a suite and what became of them. In a notebook it shows its tables."""

    suite: Suite
    store: Store
    counts: Counter[str] = field(default_factory=Counter)
    """How many runs are done, diverged, failed, skipped or missing."""
    left_out: str = ""
    """What a time limit left out, in a sentence; empty if nothing."""
    about: str = ""
    """Of a comparison, what the arrays were taken for, in a sentence."""

    def table(self) -> str:
        """The tables as plain text: a row for each strategy, best mean first."""
        from rich.console import Console

        from fusionbench.report.layout import narrow

        console = Console(file=io.StringIO(), width=120, color_system=None, force_jupyter=False)
        with console.capture() as capture:
            for table in self.tables():
                console.print(narrow(table))
        lines = [line.rstrip() for line in capture.get().splitlines()]
        return "\n".join([*lines, *self._left_out()])

    def best(self) -> str:
        """Which strategy is the best, by how much, and whether that is more than luck: a sentence for each table."""
        from fusionbench.report.verdict import best

        return "\n".join(best(table) for table in self.tables())

    def frame(self) -> pd.DataFrame:
        """A row for each strategy: means and half-widths of every score, sizes and times, unrounded."""
        from fusionbench.report.csvs import strategy_rows

        with alone():
            import pandas as pd
        return pd.DataFrame([row for table in self.tables() for row in strategy_rows(table)])

    def plot(self, dataset: str | None = None, track: str | None = None) -> Figure:
        """The score against latency, or against fusion parameters where no latency was measured.

        Args:
            dataset: which table, where there are several.
            track: likewise.

        Returns:
            A matplotlib figure: a notebook shows it, `savefig` writes it.

        Raises:
            UserError: no such table, or nothing to draw yet.
        """
        with alone():  # A notebook's MPLBACKEND is read when matplotlib is imported.
            from fusionbench.report.front import figure_of
        table = self._chosen(dataset, track)
        found = figure_of(table)
        if found is None:
            raise UserError(f"{table.title}: nothing to draw: no strategy has both a score and a size")
        return found

    def to_latex(self, columns: Sequence[str] = (), *, wide: bool = False) -> str:
        """The tables for a paper: for one column of two, with booktabs and siunitx.

        Args:
            columns: their names, e.g. `["strategy", "score", "nll"]`; those that fit if none are named.
            wide: over both columns of a page.

        Raises:
            UserError: a column that a table does not have.
        """
        from fusionbench.report.latex import latex

        return "\n".join(latex(table, columns, wide=wide) for table in self.tables())

    def write(self) -> list[Path]:
        """Write tables, every seed and pictures beside the records; their paths."""
        from fusionbench.report.write import write_report

        return write_report(self.suite, self.store)

    def tables(self) -> list[Table]:
        """One for each dataset and track that is begun; of all where none is.

        Raises:
            UserError: records that do not compare would share a table.
        """
        from fusionbench.report.tables import tables

        found = list(tables(self.suite, self.store))
        return [table for table in found if table.is_begun] or found

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        counted = ", ".join(f"{number} {status}" for status, number in sorted(self.counts.items()))
        return f"<Results of suite {self.suite.name}: {counted or 'nothing'}; print(it) shows the table>"

    def _repr_html_(self) -> str:
        from fusionbench.report.html import page

        return page(self.tables(), self._left_out())

    def _left_out(self) -> list[str]:
        return [self.left_out] if self.left_out else []

    def _chosen(self, dataset: str | None, track: str | None) -> Table:
        found = self.tables()
        for what, given, name in (
            ("dataset", dataset, lambda table: table.name),
            ("track", track, lambda table: track_label(table.track)),
        ):
            known = list(dict.fromkeys(map(name, found)))
            if given is None and len(known) > 1:
                raise UserError(f"plot: there are several tables; name one by {what}={' or '.join(map(repr, known))}")
            if given is not None and given not in known:
                raise unknown(what, given, known)
            found = [table for table in found if given in (None, name(table))]
        return found[0]
