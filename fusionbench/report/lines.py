"""Lines of strategies: which few of a table are named, and how each looks, the same in every picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from fusionbench.report.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW
from fusionbench.report.rows import TableRow

Look = tuple[str, object, str]
"""Colour, dashes, mark."""
LOOKS: tuple[Look, ...] = (
    (BLUE, "-", "o"),
    (ORANGE, (0, (5, 1.5)), "s"),
    (GREEN, (0, (1, 1)), "^"),
    (BLACK, "-", "D"),
    (PURPLE, (0, (4, 1, 1, 1)), "v"),
    (YELLOW, (0, (5, 1.5)), "P"),
    (SKY, "-", "X"),
)
NAMED = len(LOOKS)
"""As many as there are colours."""


def named_rows(rows: Sequence[TableRow]) -> list[TableRow]:
    """All of a few rows; of many the best single modality, `late`, and the best means; in the table's order.

    Args:
        rows: in a table's order, the best first.
    """
    references = [next((row for row in rows if _name(row) == name), None) for name in ("unimodal", "late")]
    wanted = [row for row in references if row] + [row for row in rows if row not in references]
    chosen = wanted[:NAMED]
    return [row for row in rows if row in chosen]


def plain_legend(figure: Figure, *, columns: int) -> None:
    """Below the picture; names are words, no formulas."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, columnspacing=1.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _name(row: TableRow) -> str:
    return row.outcomes[0].run.strategy.name
