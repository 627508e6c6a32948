"""Lines of strategies, as every interactive picture of curves draws them: a few in colour, the others grey.

The line that is pointed at stands out, with its interval over seeds, in every panel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from fusionbench.report.marks import named_rows
from fusionbench.report.numbers import score
from fusionbench.report.page.looks import GREY, ORANGE, PALETTE, drawn_number, scale_of, tips_of
from fusionbench.report.rows import TableRow
from fusionbench.stats.estimate import Estimate

PANEL, TALL = 270, 210
"""Pixels: how wide and how tall a panel is."""
BESIDE = 3
"""Panels side by side."""


def line_point(row: TableRow, x: float, found: Estimate, *, named: bool, band: bool) -> dict[str, Any]:
    """A point of a line.

    Args:
        row: whose.
        x: where.
        found: the mean over seeds there.
        named: whether the line is in colour.
        band: whether its interval is shown.
    """
    half = found.half_width or 0.0
    return {
        "strategy": row.strategy,
        "name": row.title,
        "x": drawn_number(x),
        "words": score(found),
        "mean": drawn_number(found.mean),
        "low": drawn_number(found.mean - half),
        "high": drawn_number(found.mean + half),
        "named": named,
        "band": band,
    }


def in_colour(rows: Sequence[TableRow]) -> dict[str, str]:
    """By strategy, the colour of those that are named."""
    return {row.strategy: colour for row, colour in zip(named_rows(rows), PALETTE, strict=False)}


def line_layers(
    x: alt.X, y: str, scale: alt.Scale, colours: Mapping[str, str], tips: Mapping[str, str], legend: alt.Legend
) -> Iterator[Any]:
    """Layers over points that are made by `line_point`, without their data.

    Args:
        x: the axis along.
        y: the axis up, in words.
        scale: of it.
        colours: by the title of each strategy that is named.
        tips: what is said at a point, by field.
        legend: of the colours.
    """
    up, ends = (alt.Y(f"{field}:Q", title=y, scale=scale) for field in ("mean", "low"))
    colour = alt.Color("name:N", title=None, scale=scale_of(colours), legend=legend)
    near = alt.selection_point(name="near", on="pointerover", fields=["name"], nearest=True, empty=False)
    base, each = alt.Chart().encode(x=x), alt.Detail("name:N")  # No data of its own: each panel has its share.
    bands = base.transform_filter(near).transform_filter(alt.datum.band).mark_area(opacity=0.2, clip=True, color=ORANGE)
    yield bands.encode(y=ends, y2="high:Q", detail=each)
    others = base.transform_filter(~alt.datum.named).mark_line(color=GREY, strokeWidth=0.7, opacity=0.55, clip=True)
    yield others.encode(y=up, detail=each)
    yield base.transform_filter(alt.datum.named).mark_line(strokeWidth=2, clip=True).encode(y=up, color=colour)
    over = base.transform_filter(near).mark_line(strokeWidth=3.5, clip=True, color=ORANGE)
    yield over.encode(y=up, detail=each)
    points = base.mark_point(opacity=0, clip=True)
    yield points.encode(y=up, tooltip=tips_of(tips), detail=each).add_params(near)


def drawn_over_points(layers: Iterator[Any]) -> alt.LayerChart:
    """Layers over data that are named `points`."""
    return alt.layer(*layers, data=alt.NamedData("points"))


def panels_of(layers: Iterator[Any], names: Sequence[str]) -> Any:
    """The same layers in a panel for each name of the field `panel`."""
    drawn = drawn_over_points(layers).properties(width=PANEL, height=TALL)
    heading = alt.Header(labelFontSize=12, title=None)
    return drawn.facet(facet=alt.Facet("panel:N", sort=list(names), header=heading), columns=BESIDE)


def height_of(panels: int) -> int:
    """Pixels, about, of so many panels with their legend."""
    return (TALL + 55) * -(-panels // BESIDE) + 60


def below() -> alt.Legend:
    """A legend below the panels."""
    return alt.Legend(
        orient="bottom", columns=4, labelLimit=220, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
    )
