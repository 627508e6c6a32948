"""The interactive picture of learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from fusionbench.core.scores import lower_is_better
from fusionbench.report.curve_points import Curve, curves, named, shown_range
from fusionbench.report.numbers import score
from fusionbench.report.page.looks import GREY, ORANGE, PALETTE, Chart, Rows, scale_of, tips_of, with_data
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT = 340


def curves_chart(table: Table) -> Chart | None:
    """None where no run has a curve of two epochs or more."""
    found = list(curves(table))
    if not found:
        return None
    chosen = named(found)
    layers = alt.layer(*_layers(table, found, chosen)).properties(width="container", height=HEIGHT)
    grey = len(found) - len(chosen)
    return Chart(
        "curves",
        f"Validation {directed(table.metric)} after every epoch, means over seeds"
        f"{f'; grey: the other {grey}' if grey else ''}. Point at a line for its name"
        f"{', and its 95 % interval over seeds' if any(curve.has_band for curve in found) else ''}.",
        with_data(layers, {"points": _points(found, chosen)}),
        HEIGHT + 55,
    )


def _layers(table: Table, found: Sequence[Curve], chosen: Sequence[Curve]) -> Iterator[Any]:
    low, high = shown_range(chosen)
    scale = alt.Scale(domain=[low, high], reverse=lower_is_better(table.metric), nice=False)
    words = f"validation {directed(table.metric)}"
    y, ends = (alt.Y(f"{field}:Q", title=words, scale=scale) for field in ("mean", "low"))
    epochs = alt.Scale(domain=[1, max(len(curve.points) for curve in found)], nice=False)
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=epochs)
    legend = alt.Legend(orient="right", labelLimit=220, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    colours = scale_of({curve.row.title: colour for curve, colour in zip(chosen, PALETTE, strict=False)})
    colour = alt.Color("name:N", title=None, scale=colours, legend=legend)
    near = alt.selection_point(name="near", on="pointerover", fields=["name"], nearest=True, empty=False)
    base, each = alt.Chart(alt.NamedData("points")).encode(x=x), alt.Detail("name:N")
    bands = base.transform_filter(near).transform_filter(alt.datum.band).mark_area(opacity=0.2, clip=True, color=ORANGE)
    yield bands.encode(y=ends, y2="high:Q", detail=each)
    others = base.transform_filter(~alt.datum.named).mark_line(color=GREY, strokeWidth=0.7, opacity=0.55, clip=True)
    yield others.encode(y=y, detail=each)
    lines = base.transform_filter(alt.datum.named).mark_line(strokeWidth=2, clip=True)
    yield lines.encode(y=y, color=colour)
    over = base.transform_filter(near).mark_line(strokeWidth=3.5, clip=True, color=ORANGE)
    yield over.encode(y=y, detail=each)
    tips = tips_of({"name": "strategy", "epoch": "epoch", "words": "mean"})
    yield base.mark_point(opacity=0, clip=True).encode(y=y, tooltip=tips, detail=each).add_params(near)


def _points(found: Sequence[Curve], chosen: Sequence[Curve]) -> Rows:
    return [
        {
            "strategy": curve.row.strategy,
            "name": curve.row.title,
            "epoch": at + 1,
            "words": score(point),
            "mean": point.mean,
            "low": point.mean - half,
            "high": point.mean + half,
            "named": is_named,
            "band": curve.has_band,
        }
        for curve, is_named in ((curve, curve in chosen) for curve in found)
        for at, point in enumerate(curve.points)
        for half in (point.half_width or 0.0,)
    ]
