"""Lines of strategies: how each of the few that are named looks, the same in every picture."""

from __future__ import annotations

from matplotlib.figure import Figure

from fusionbench.report.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW

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


def plain_legend(figure: Figure, *, columns: int) -> None:
    """Below the picture; names are words, no formulas."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, columnspacing=1.2)
    for text in legend.get_texts():
        text.set_parse_math(False)
