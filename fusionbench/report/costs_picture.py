"""The score against every cost that was measured, a panel for each; named are the best and the single modalities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.core.scores import score_of
from fusionbench.report.axes import scale_cost, scale_score
from fusionbench.report.counted import MEMORY
from fusionbench.report.figures import GREY, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, plain_legend
from fusionbench.report.marks import named_rows, short_label
from fusionbench.report.panels import panels, shape_of, width_of
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT = 2.0
"""Inches of a row of panels."""
Cost = Callable[[Table, TableRow], float | None]


def costs_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where fewer than two costs are known: the front shows one."""
    rows = [row for row in table.rows if row.uses != "none" and row.comparable and table.metric in row.scores]
    known = {title: _known(table, rows, cost) for title, cost in COSTS.items()}
    found = {title: costs for title, costs in known.items() if len(set(costs.values())) > 1}
    if len(found) < 2:
        return {}
    named = named_rows(rows)

    def draw(figure: Figure) -> None:
        for axes, (title, costs) in zip(panels(figure, len(found), same_y=True), found.items(), strict=True):
            _draw(axes, table, rows, named, costs)
            scale_cost(axes, list(costs.values()), counts=title not in UNITS)
            axes.set_xlabel(title)
        scale_score(figure.axes[0], [row.scores[table.metric].mean for row in rows], score_of(table.metric))
        figure.supylabel(f"test {directed(table.metric)}", fontsize="medium", parse_math=False)
        entitle(figure, table, "means over seeds" + "; grey: other strategies" * (len(named) < len(rows)))
        plain_legend(figure, columns=2 if len(found) <= 2 else 4)

    legend = 0.16 * -(-len(named) // (2 if len(found) <= 2 else 4))
    return drawn(width_of(len(found)), HEIGHT * shape_of(len(found))[0] + 0.6 + legend, draw)


def _known(table: Table, rows: Sequence[TableRow], cost: Cost) -> dict[str, float]:
    """By strategy; a cost of 0 has no place on a logarithmic axis."""
    return {row.strategy: value for row in rows if (value := cost(table, row))}


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


def _size(name: str) -> Cost:
    def cost(_: Table, row: TableRow) -> float | None:
        value = row.size.get(name)
        return float(value) if isinstance(value, int | float) else None

    return cost


def _latency(table: Table, row: TableRow) -> float | None:
    timing = table.latency.timings.get((row.strategy, "end_to_end", 1)) if table.latency else None
    return timing.median_ms if timing else None


def _seconds(_: Table, row: TableRow) -> float | None:
    found = [outcome.record.train_seconds for outcome in row.outcomes if outcome.record and outcome.scores]
    return fmean(found) if found else None


def _memory(_: Table, row: TableRow) -> float | None:
    return row.costs.get(MEMORY)


UNITS = ("latency of one sample, ms", "seconds of training")
"""Costs that are no counts."""
COSTS: dict[str, Cost] = {
    "parameters of the fusion": _size("fusion_parameters"),
    "FLOPs of a sample": _size("flops_per_sample"),
    UNITS[0]: _latency,
    UNITS[1]: _seconds,
    "peak memory of training, bytes": _memory,
}
