"""Differences to the references with their intervals: what each strategy gains over late fusion and one modality.

A mark that is filled is told apart from the reference after Holm's correction; up and down, so that it reads in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fusionbench.report.figures import BLUE, COLUMN, GREY, ORANGE, PAGE, SMALL, TALLEST, drawn, entitle, grid
from fusionbench.report.marks import differences_shown, short_label
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import signed
from fusionbench.stats.references import Against, Compared

PITCH, AROUND = 0.15, 1.35
"""Inches: of a row, and of all that is not rows."""
WIDE_FROM = 30
"""Rows: of more, the picture is as wide as a page."""
BETTER, WORSE, NEITHER = (BLUE, "^", BLUE), (ORANGE, "v", ORANGE), (GREY, "o", "white")
"""Colour, mark and filling."""
REFERENCE: dict[str, Any] = {"linestyle": "none", "marker": "D", "markersize": 3.2, "color": "black"}


def differences_picture(table: Table) -> dict[str, bytes]:
    """A panel for each reference; empty where there is none, or no interval."""
    found = [one for one in table.tests.references if any(row.p is not None for row in one.compared)]
    names = {row.strategy for one in found for row in one.compared}
    rows = [row for row in table.rows if row.strategy in names and row.uses != "none"]
    if not rows:
        return {}
    width = COLUMN if len(rows) <= WIDE_FROM else PAGE

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axes, one in zip(panels, found, strict=True):
            _panel(axes, one, rows, _title_of(table, one.reference))
        axes = panels[0]
        axes.set_yticks(range(len(rows)), [short_label(row.title) for row in rows], fontsize=_size(len(rows)))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
        entitle(figure, table, f"difference of test {signed(table.metric)}, 95 % intervals")
        figure.legend(handles=_keys(found), loc="outside lower center", ncols=2, frameon=False)

    return drawn(width, PITCH * len(rows) + AROUND, draw)


def _panel(axes: Axes, found: Against, rows: Sequence[TableRow], reference: str) -> None:
    low, high = differences_shown(found, rows)
    axes.axvline(0, color="black", linewidth=0.6, zorder=1)
    axes.set_xlim(low, high)
    axes.set_xlabel(f"less {short_label(reference)}", parse_math=False)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
    for place, row in enumerate(rows):
        one = found.of(row.strategy)
        if one is not None:
            _row(axes, place, one, low, high)
        elif row.strategy == found.reference:
            axes.plot(0, place, **REFERENCE, zorder=3)


def _row(axes: Axes, place: int, one: Compared, low: float, high: float) -> None:
    colour, mark, filling = _look(one)
    mean, half = one.estimate.mean, one.estimate.half_width or 0.0
    if low <= mean <= high:
        ends = max(low, mean - half), min(high, mean + half)
        axes.plot(ends, [place, place], color=colour, linewidth=1.0, zorder=2)
        for edge, end, arrow in ((low, ends[0], "<"), (high, ends[1], ">")):
            if edge == end:  # It goes on beyond the axis.
                axes.plot(end, place, arrow, color=colour, markersize=2.5, clip_on=False, zorder=3)
        axes.plot(mean, place, mark, color=colour, markerfacecolor=filling, markersize=4, markeredgewidth=0.9, zorder=3)
        return
    # Far outside: said in a number at the edge, so that it does not flatten all the others.
    edge, side = (low, "left") if mean < low else (high, "right")
    words = f"\u25c2 {mean:.2f}" if mean < low else f"{mean:+.2f} \u25b8"
    axes.text(edge, place, words, fontsize=SMALL - 0.5, color=colour, ha=side, va="center")


def _look(one: Compared) -> tuple[str, str, str]:
    return BETTER if one.is_better else WORSE if one.is_worse else NEITHER


def _keys(found: Sequence[Against]) -> list[Line2D]:
    every = [row for one in found for row in one.compared]
    kinds = (
        (BETTER, "better, Holm at .05", any(row.is_better for row in every)),
        (WORSE, "worse, Holm at .05", any(row.is_worse for row in every)),
        (NEITHER, "not told apart", any(not row.is_better and not row.is_worse for row in every)),
    )
    reference = Line2D([], [], **REFERENCE, label="the reference itself")
    return [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=filling, markersize=4, linewidth=1.0, label=words)
        for (colour, mark, filling), words, is_there in kinds
        if is_there
    ] + [reference]


def _size(count: int) -> float:
    """Of type: what the rows of a page leave room for."""
    points = 72 * (TALLEST - AROUND) / count
    return min(SMALL, 0.95 * points)


def _title_of(table: Table, strategy: str) -> str:
    return next((row.title for row in table.rows if row.strategy == strategy), strategy)
