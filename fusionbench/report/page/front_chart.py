"""The interactive picture of the score against what it costs: marks, intervals and the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from fusionbench.core.scores import lower_is_better, score_of
from fusionbench.report.marks import (
    Mark,
    cost_label,
    cost_range,
    front_points,
    marks_of,
    round_numbers,
    score_range,
    shown_ends,
)
from fusionbench.report.numbers import count, milliseconds, score
from fusionbench.report.page.looks import BLUE, GREY, Chart, Rows, scale_of, tips_of, with_data
from fusionbench.report.page.places import HEIGHT, Offset, offsets
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed, title

FUSION, SINGLE, BAD = "fusion", "single modality", "some runs did not end well"
SHAPES = {FUSION: "circle", SINGLE: "square", BAD: "cross"}


def front_chart(table: Table) -> Chart | None:
    """None where no strategy has both a score and a cost."""
    marks = marks_of(table)
    if not marks:
        return None
    chart = alt.layer(*_layers(table, marks)).add_params(_zoom()).properties(width="container", height=HEIGHT)
    intervals = ", with 95 % intervals" if any(mark.score.half_width for mark in marks) else ""
    steps = [{"cost": cost, "mean": mean} for cost, mean in front_points(table)]
    return Chart(
        "front",
        f"Test {title(table.metric)} against {_cost_name(table)}{intervals}; dashed: the Pareto front by the "
        "means. Point at a mark for its name and numbers; drag to move, Shift and wheel to zoom, double click to go "
        "back.",
        with_data(chart, {"rows": _points(table, marks), "stairs": steps}),
        HEIGHT + 55,
    )


def _layers(table: Table, marks: Sequence[Mark]) -> Iterator[Any]:
    bottom, top = _scores(table, marks)
    x = alt.X(
        "cost:Q",
        title=cost_label(table).replace("\n", ", "),
        scale=alt.Scale(type="log", domain=list(_costs(marks)), nice=False),
        axis=alt.Axis(format="~s" if table.cost == "parameters" else "~g", values=round_numbers(*_costs(marks))),
    )
    scale = alt.Scale(domain=sorted((bottom, top)), reverse=bottom > top, nice=False)
    y, ends = (alt.Y(f"{name}:Q", title=f"test {directed(table.metric)}", scale=scale) for name in ("mean", "low"))
    stairs = alt.Chart(alt.NamedData("stairs")).encode(x=x, y=y)
    yield stairs.mark_line(interpolate="step-after", strokeDash=[5, 3], color=BLUE, strokeWidth=1, clip=True)
    base, legend = alt.Chart(alt.NamedData("rows")).encode(x=x), alt.Legend(symbolOpacity=1)
    colours = scale_of({"on the front": BLUE, "behind it": GREY})
    colour = alt.Color("place:N", title=None, scale=colours, legend=legend)
    yield base.mark_rule(opacity=0.6, clip=True).encode(y=ends, y2="high:Q", color=colour)
    there = {_kind(mark.row) for mark in marks}
    shapes = scale_of({kind: shape for kind, shape in SHAPES.items() if kind in there})
    tips = tips_of({"name": "strategy", "score": title(table.metric), "costs": "cost", "place": "front"})
    points = base.mark_point(filled=True, size=70, opacity=1, clip=True)
    shape = alt.Shape("kind:N", title=None, scale=shapes, legend=alt.Legend(symbolFillColor=GREY))
    yield points.encode(y=y, color=colour, shape=shape, tooltip=tips)
    words = base.transform_filter(alt.datum.label != "").encode(y=y, text="label:N")
    yield words.mark_text(dx=alt.expr("datum.across"), dy=alt.expr("datum.down"), clip=True, fontSize=11)


def _points(table: Table, marks: Sequence[Mark]) -> Rows:
    placed = offsets(marks, front_points(table), _costs(marks), _scores(table, marks))
    return [_point(table, mark, placed.get(mark.row.strategy)) for mark in marks]


def _point(table: Table, mark: Mark, label: Offset | None) -> dict[str, Any]:
    row, (low, high) = mark.row, mark.ends
    return {
        "strategy": row.strategy,
        "name": row.title,
        "label": mark.label if label else "",
        "across": label.x if label else 0,
        "down": label.y if label else 0,
        "cost": mark.cost,
        "costs": f"{milliseconds(mark.cost)} ms" if table.cost == "latency" else count(mark.cost),
        "mean": mark.score.mean,
        "low": low,
        "high": high,
        "score": score(mark.score),
        "place": "on the front" if row.front else "behind it",
        "kind": _kind(row),
    }


def _kind(row: TableRow) -> str:
    return BAD if not row.comparable else SINGLE if row.uses == "one" else FUSION


def _costs(marks: Sequence[Mark]) -> tuple[float, float]:
    return cost_range([mark.cost for mark in marks])


def _scores(table: Table, marks: Sequence[Mark]) -> tuple[float, float]:
    """At the bottom and at the top: the better end is up."""
    low, high = score_range(shown_ends(marks), score_of(table.metric))
    return (high, low) if lower_is_better(table.metric) else (low, high)


def _zoom() -> alt.Parameter:
    return alt.selection_interval(bind="scales", zoom="wheel![event.shiftKey]")


def _cost_name(table: Table) -> str:
    return "end-to-end latency" if table.cost == "latency" else "fusion parameters"
