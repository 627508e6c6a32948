r"""A table for a paper: booktabs rules, numbers aligned by siunitx, a caption of three lines.

What does not fit three lines stands in a paragraph of its own (`methods`). More rows than a page has are a `longtable`,
which LaTeX sets on pages of one column only: the table turns to them and back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fusionbench.core.scores import lower_is_better
from fusionbench.plan.suite import SAME_ENCODERS
from fusionbench.report.paper_columns import PaperColumn, is_partial, paper_columns
from fusionbench.report.tables import Table
from fusionbench.report.titles import extreme, title, track_title
from fusionbench.report.typeset import sentence

LONG = 40
"""Rows that a float may have; in a column of an article are 58 lines of footnotesize, caption and all."""
SETUP = r"\sisetup{detect-weight=true, mode=text, group-minimum-digits=9, retain-explicit-plus=true}"
ONE_COLUMN = (
    r"\makeatletter",
    r"\let\fusionbenchback\relax",
    r"\if@twocolumn\let\fusionbenchback\twocolumn\onecolumn\fi",
    r"\makeatother",
)


def latex(table: Table, columns: Sequence[str] = (), *, wide: bool = False) -> str:
    r"""The table as `table`, or as wide as both columns of a page as `table*`; beyond 40 rows as `longtable`.

    One row a line.

    Args:
        table: what to show.
        columns: their names, see `paper_columns`; those that fit the form if none are named.
        wide: for two columns of text.

    Raises:
        UserError: a column that the table does not have.
    """
    shown = paper_columns(table, columns, wide=wide)
    lines = _long(table, shown) if len(table.rows) > LONG else _float(table, shown, "table*" if wide else "table")
    packages = "booktabs,siunitx" + (",longtable" if len(table.rows) > LONG else "")
    return "\n".join([rf"% \usepackage{{{packages}}}", *lines]) + "\n"


def label(table: Table) -> str:
    """Letters, digits and hyphens: a label with other signs is an error in some classes."""
    words = f"{table.suite}-{table.title}-{track_title(table.track)}"
    return re.sub("[^A-Za-z0-9]+", "-", words).strip("-").lower()


def short_caption(table: Table, shown: Sequence[PaperColumn] = ()) -> tuple[str, ...]:
    """What has to stand at the table itself, in three lines of a column; more where it has stars to explain."""
    stars = any(cell == "*" for column in shown for row in column.cells for cell in row)
    sign = ", + is better," if lower_is_better(table.metric) else ""
    over = f"Over: paired difference{sign} to the reference that validation picks; * not 0 at .05 (Holm)."
    return (*_short(table), *([over] if stars else []))


def _short(table: Table) -> Iterator[str]:
    track = "" if table.track.name == SAME_ENCODERS else f", {track_title(table.track)}"
    counts = sorted({row.done for row in table.rows if row.done})
    if not counts:
        yield f"{table.title}{track}: no run is done yet."
        return
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    estimates = [row.scores[table.metric] for row in table.rows if table.metric in row.scores]
    over = f"{seeds}, test rows" if any(one.test_error is not None for one in estimates) else seeds
    interval = f" ± 95 % half-width ({over})" if counts[-1] > 1 else f", {seeds}"
    yield f"{table.title}{track}: {title(table.metric)}{interval}."
    yield from _marks(table)
    if any(map(is_partial, table.rows)):
        yield "#: some runs failed."


def _marks(table: Table) -> Iterator[str]:
    tested = [one for one in table.tests.families if one.is_tested]
    count, bold = sum(len(one.strategies) for one in tested), any(row.best for row in table.rows)
    signs = ", ".join(
        table.tests.sign(one) for one in tested if any(row.mark == table.tests.sign(one) for row in table.rows)
    )
    words = f"of {count} tested" if len(tested) == 1 else "of its family" if tested else "mean"
    best = f"{extreme(table.metric)} {words}"
    if bold:
        yield f"Bold: {best}{f'; {signs} not told apart from it' if signs else ''}."
    elif signs:
        yield f"{signs} not told apart from the {best}."


def _float(table: Table, shown: Sequence[PaperColumn], environment: str) -> Iterator[str]:
    yield rf"\begin{{{environment}}}"
    yield r"\centering\footnotesize"
    yield SETUP
    yield r"\setlength{\tabcolsep}{2.5pt}"
    yield rf"\begin{{tabular}}{{{_specs(shown)}}}"
    yield r"\toprule"
    yield from _head(shown)
    yield r"\midrule"
    yield from _rows(table, shown)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from _caption(table, shown)
    yield rf"\label{{tab:{label(table)}}}"
    yield rf"\end{{{environment}}}"


def _long(table: Table, shown: Sequence[PaperColumn]) -> Iterator[str]:
    """The heading again on every page; the group keeps what is set here to itself."""
    width = sum(len(column.specs) for column in shown)
    yield from ONE_COLUMN
    yield r"\begingroup\footnotesize"
    yield SETUP
    yield r"\setlength{\tabcolsep}{2.5pt}\setlength{\LTcapwidth}{\linewidth}"
    yield rf"\begin{{longtable}}{{{_specs(shown)}}}"
    yield from _caption(table, shown)
    yield rf"\label{{tab:{label(table)}}}\\"
    yield r"\toprule"
    yield from _head(shown)
    yield r"\midrule\endfirsthead"
    yield r"\toprule"
    yield from _head(shown)
    yield r"\midrule\endhead"
    yield rf"\midrule\multicolumn{{{width}}}{{r@{{}}}}{{goes on}}\\\endfoot"
    yield r"\bottomrule\endlastfoot"
    yield from _rows(table, shown)
    yield r"\end{longtable}"
    yield r"\endgroup"
    yield r"\fusionbenchback"


def _specs(shown: Sequence[PaperColumn]) -> str:
    return f"@{{}}{' '.join(spec for column in shown for spec in column.specs)}@{{}}"


def _head(shown: Sequence[PaperColumn]) -> Iterator[str]:
    """Headings, and units in a line below them where there are any."""
    yield _line([column.head(column.heading) for column in shown])
    if any(column.unit for column in shown):
        yield _line([column.head(column.unit) for column in shown])


def _rows(table: Table, shown: Sequence[PaperColumn]) -> Iterator[str]:
    for at in range(len(table.rows)):
        yield _line([cell for column in shown for cell in column.cells[at]])


def _caption(table: Table, shown: Sequence[PaperColumn]) -> Iterator[str]:
    yield r"\caption{%"
    yield from map(sentence, short_caption(table, shown))
    yield "}"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
