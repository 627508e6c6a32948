"""What noise and missing modalities cost: the score by severity, a panel for each way in which inputs are spoilt."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.core.scores import bare, score_of
from fusionbench.report.axes import scale_score
from fusionbench.report.figures import drawn, entitle, grid
from fusionbench.report.lines import LOOKS, Look, plain_legend
from fusionbench.report.marks import named_rows, short_label
from fusionbench.report.panels import panels, shape_of, width_of
from fusionbench.report.robustness_points import FEWEST, places, points, robust_rows
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed
from fusionbench.stats.robust import Place

HEIGHT = 1.75
"""Inches of a row of panels."""


def robustness_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where robustness was not measured."""
    rows, found = robust_rows(table), places(table)
    if not found:
        return {}
    named = named_rows(rows)

    def draw(figure: Figure) -> None:
        for axes, place in zip(panels(figure, len(found), same_y=True), found, strict=True):
            for row, look in zip(named, LOOKS, strict=False):
                _draw(axes, row, place, bare(table.metric), look)
            grid(axes)
            axes.set_title(f"{place[0]}: {place[1]}", parse_math=False)
            axes.set_xlabel("share of rows" if place[1] == "missing" else "severity")
        scale_score(figure.axes[0], _means(named, found, bare(table.metric)), score_of(table.metric))
        figure.supylabel(f"test {directed(table.metric)}", fontsize="medium", parse_math=False)
        banded = any(len(row.measured["robustness"]) >= FEWEST for row in named)
        entitle(figure, table, *(["bands: 95 % intervals over seeds"] if banded else []))
        plain_legend(figure, columns=2 if len(found) <= 2 else 4)

    legend = 0.16 * -(-len(named) // (2 if len(found) <= 2 else 4))
    return drawn(width_of(len(found)), HEIGHT * shape_of(len(found))[0] + 0.9 + legend, draw)


def _means(rows: Sequence[TableRow], places: Sequence[Place], score: str) -> list[float]:
    """All that is drawn, but for the bands: those of a few seeds reach beyond what a score can be."""
    return [one.mean for row in rows for place in places for _, one in points(row, place, score)]


def _draw(axes: Axes, row: TableRow, place: Place, score: str, look: Look) -> None:
    colour, dashes, mark = look
    found = points(row, place, score)
    x, means = [severity for severity, _ in found], [one.mean for _, one in found]
    label = short_label(row.title)
    axes.plot(x, means, color=colour, linestyle=dashes, linewidth=1.0, marker=mark, markersize=2.6, label=label)
    if all(one.n >= FEWEST for _, one in found):
        low, high = ([one.mean + sign * (one.half_width or 0.0) for _, one in found] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
