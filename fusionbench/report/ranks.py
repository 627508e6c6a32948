"""Ranks over the data sets of a suite: of every strategy its rank on each, and the mean of them. A description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fusionbench.report.figures import BLUE, COLUMN, GREY, SMALL, TALLEST, drawn, grid, write_title
from fusionbench.report.marks import short_label
from fusionbench.report.standings import Standings, standings
from fusionbench.report.tables import Table
from fusionbench.report.titles import track_title
from fusionbench.stats.ranks import critical_difference, ranks
from fusionbench.stats.refusals import NotTestable

PITCH, AROUND = 0.15, 1.5
"""Inches: of a row, and of all that is not rows."""
SHAPES = "os^DvPX*"
"""Of data sets; of more than these, they share a dot."""


def ranks_picture(tables: Sequence[Table]) -> dict[str, bytes]:
    """Of the tables of one suite and track; empty where there is nothing to rank."""
    found = standings(tables)
    if found is None:
        return {}
    titles = {row.strategy: short_label(row.title) for row in tables[0].rows}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw(axes, found, [titles[name] for name in found.strategies])
        write_title(figure, "Ranks over data sets", f"suite {tables[0].suite}, {track_title(tables[0].track)}")
        keys = _keys([table.title for table in tables])
        figure.legend(handles=keys, loc="outside lower center", ncols=2 if len(keys) > 2 else 1, frameon=False)
        for text in figure.legends[0].get_texts():
            text.set_parse_math(False)

    return drawn(COLUMN, PITCH * len(found.strategies) + AROUND, draw)


def _draw(axes: Axes, found: Standings, names: list[str]) -> None:
    each, count = ranks(found.means.tolist()), len(names)
    for place in range(count):
        axes.plot([each[place].min(), each[place].max()], [place, place], color="#BBBBBB", linewidth=0.8, zorder=1)
        for at, rank in enumerate(each[place]):
            axes.plot(rank, place, **_look(at, len(found.datasets)), zorder=2)
    axes.plot(found.mean_ranks, range(count), "|", color=BLUE, markersize=8, markeredgewidth=2.2, zorder=3)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlim(0, count + 1)
    points = 72 * (TALLEST - AROUND) / count
    axes.set_yticks(range(count), names, fontsize=min(SMALL, 0.95 * points))
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"rank, 1 is best{_needed(found)}")
    grid(axes, "x")


def _needed(found: Standings) -> str:
    """The critical difference, where the data sets allow one."""
    try:
        needed = critical_difference(found.means.tolist(), found.sources)
    except NotTestable:
        return ""
    return f"; mean ranks {needed.difference:.1f} apart differ (Nemenyi)"


def _look(at: int, count: int) -> dict[str, Any]:
    shape = SHAPES[at] if count <= len(SHAPES) else "o"
    return {
        "linestyle": "none",
        "marker": shape,
        "markersize": 3.2,
        "color": GREY,
        "markerfacecolor": "white",
        "markeredgewidth": 0.7,
    }


def _keys(titles: list[str]) -> list[Line2D]:
    mean = Line2D(
        [], [], linestyle="none", marker="|", color=BLUE, markersize=8, markeredgewidth=2.2, label="mean rank"
    )
    if len(titles) > len(SHAPES):
        return [mean, Line2D([], [], **_look(0, len(titles)), label=f"each of {len(titles)} data sets")]
    marks = [Line2D([], [], **_look(at, len(titles)), label=short_label(one)) for at, one in enumerate(titles)]
    return [mean, *marks]
