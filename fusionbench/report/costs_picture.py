"""The score against every cost that was measured, a panel for each; named are the best and the single modalities."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.core.scores import score_of
from fusionbench.report.axes import scale_cost, scale_score
from fusionbench.report.cost_points import UNITS, known_costs, weighed_rows
from fusionbench.report.figures import GREY, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, plain_legend
from fusionbench.report.marks import named_rows, short_label
from fusionbench.report.panels import panels, shape_of, width_of
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT = 2.0
"""Inches of a row of panels."""
TICKS = 4
"""Numbers below a panel."""


def costs_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where fewer than two costs are known: the front shows one."""
    rows, found = weighed_rows(table), known_costs(table)
    if not found:
        return {}
    named = named_rows(rows)

    def draw(figure: Figure) -> None:
        for axes, (title, costs) in zip(panels(figure, len(found), same_y=True), found.items(), strict=True):
            _draw(axes, table, rows, named, costs)
            scale_cost(axes, list(costs.values()), counts=title not in UNITS, most=TICKS)
            axes.set_xlabel(title)
        scale_score(figure.axes[0], [row.scores[table.metric].mean for row in rows], score_of(table.metric))
        figure.supylabel(f"test {directed(table.metric)}", fontsize="medium", parse_math=False)
        entitle(figure, table, "means over seeds" + "; grey: other strategies" * (len(named) < len(rows)))
        plain_legend(figure, columns=2 if len(found) <= 2 else 4)

    legend = 0.16 * -(-len(named) // (2 if len(found) <= 2 else 4))
    return drawn(width_of(len(found)), HEIGHT * shape_of(len(found))[0] + 0.6 + legend, draw)


def _draw(
    axes: Axes, table: Table, rows: Sequence[TableRow], named: Sequence[TableRow], costs: dict[str, float]
) -> None:
    others = [row for row in rows if row not in named and row.strategy in costs]
    where = [costs[row.strategy] for row in others], [row.scores[table.metric].mean for row in others]
    axes.plot(*where, color=GREY, marker="o", markersize=2.2, linestyle="none", alpha=0.5, zorder=2)
    for row, (colour, _, mark) in zip(named, LOOKS, strict=False):
        label = short_label(row.title)
        at = ([costs[row.strategy]], [row.scores[table.metric].mean]) if row.strategy in costs else ([], [])
        axes.plot(*at, color=colour, marker=mark, markersize=4.5, linestyle="none", label=label, zorder=3)
    grid(axes)
