"""All pairs of a table's families: by how much the row is above the column, and which pairs differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isinf

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fusionbench.core.scores import score_of
from fusionbench.report.figures import BLUE, COLUMN, PALE, SMALL, drawn, entitle
from fusionbench.report.marks import METHODS, short_label
from fusionbench.report.numbers import significant
from fusionbench.report.tables import Table
from fusionbench.report.titles import signed
from fusionbench.stats.families import Family

CELL, AROUND = 0.2, 1.9
"""Inches: of a row, and of all that is not rows: column names stand upright."""


def pairs_picture(table: Table) -> dict[str, bytes]:
    """A matrix for each family that is tested; empty where none is."""
    found = [one for one in table.tests.families if one.is_tested]
    if not found:
        return {}
    unbounded = isinf(score_of(table.metric).most)
    titles = {row.strategy: short_label(row.title) for row in table.rows}
    heights = [CELL * len(one.strategies) + AROUND - 0.5 for one in found]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, one in zip(panels, found, strict=True):
            _matrix(axes, one, [titles[name] for name in one.strategies], significant if unbounded else _hundredths)
        hundredths = "" if unbounded else ", in hundredths"
        what = f"test {signed(table.metric)}: row less column{hundredths}; filled: they differ at .05"
        entitle(figure, table, what)

    return drawn(COLUMN, sum(heights) + 0.5, draw)


def _matrix(axes: Axes, found: Family, names: Sequence[str], words: Callable[[float], str]) -> None:
    """The better one in the row: the half below the diagonal would say the same once more."""
    count = len(names)
    for row in range(count):
        for column in range(row + 1, count):
            _cell(axes, row, column, words(float(found.mean[row, column])), bool(found.differ[row, column]))
    axes.set_xlim(0.5, count - 0.5)
    axes.set_ylim(count - 1.5, -0.5)
    axes.set_xticks(range(1, count), names[1:], rotation=90)
    axes.set_yticks(range(count - 1), names[:-1])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    axes.set_xlabel(f"{found.name}: {METHODS[found.method]}, {len(found.seeds)} seeds", parse_math=False)


def _cell(axes: Axes, row: int, column: int, words: str, differ: bool) -> None:
    colour = BLUE if differ else "white"
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor=PALE, linewidth=0.6))
    axes.text(
        column,
        row,
        words,
        ha="center",
        va="center",
        fontsize=SMALL - 0.5,
        color="white" if differ else "black",
        fontweight="bold" if differ else "normal",
    )


def _hundredths(difference: float) -> str:
    """Of scores that are fractions; three digits and a point are wider than a cell.

    >>> _hundredths(0.0996), _hundredths(-0.031), _hundredths(0.978)
    ('10', '-3.1', '98')
    """
    shown = f"{100 * difference:.1f}"
    return shown if len(shown.lstrip("-")) <= len("9.9") else f"{100 * difference:.0f}"
