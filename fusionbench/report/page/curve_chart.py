"""The interactive picture of learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from fusionbench.core.scores import lower_is_better
from fusionbench.report.curve_points import Curve, curves, named, shown_range
from fusionbench.report.page.line_layers import drawn_over_points, in_colour, line_layers, line_point
from fusionbench.report.page.looks import Chart, with_data
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT = 340


def curves_chart(table: Table) -> Chart | None:
    """None where no run has a curve of two epochs or more."""
    found = list(curves(table))
    if not found:
        return None
    chosen = named(found)
    points = [
        line_point(curve.row, at + 1, point, named=curve in chosen, band=curve.has_band)
        for curve in found
        for at, point in enumerate(curve.points)
    ]
    grey = len(found) - len(chosen)
    return Chart(
        "curves",
        f"Validation {directed(table.metric)} after every epoch, means over seeds"
        f"{f'; grey: the other {grey}' if grey else ''}. Point at a line for its name"
        f"{', and its 95 % interval over seeds' if any(curve.has_band for curve in found) else ''}.",
        with_data(_drawn(table, found, chosen), {"points": points}),
        HEIGHT + 55,
    )


def _drawn(table: Table, found: Sequence[Curve], chosen: Sequence[Curve]) -> alt.LayerChart:
    epochs = alt.Scale(domain=[1, max(len(curve.points) for curve in found)], nice=False)
    x = alt.X("x:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=epochs)
    scale = alt.Scale(domain=list(shown_range(chosen)), reverse=lower_is_better(table.metric), nice=False)
    titles = {curve.row.strategy: curve.row.title for curve in chosen}
    colours = {titles[name]: colour for name, colour in in_colour([curve.row for curve in chosen]).items()}
    tips = {"name": "strategy", "x": "epoch", "words": "mean"}
    legend = alt.Legend(orient="right", labelLimit=220, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    layers = line_layers(x, f"validation {directed(table.metric)}", scale, colours, tips, legend)
    return drawn_over_points(layers).properties(width="container", height=HEIGHT)
