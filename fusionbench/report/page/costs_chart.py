"""The interactive picture of the score against every cost that was measured, a panel for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from fusionbench.core.scores import lower_is_better, score_of
from fusionbench.report.cost_points import UNITS, known_costs, weighed_rows
from fusionbench.report.marks import named_rows, score_range
from fusionbench.report.numbers import count, milliseconds, score
from fusionbench.report.page.line_layers import BESIDE, PANEL, TALL, height_of, in_colour
from fusionbench.report.page.looks import GREY, Chart, Rows, scale_of, tips_of, with_data
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed, title

LABELS = "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, '~s')"
"""Of an axis: prefixes for counts, and for milliseconds `0.5`, not `500m`."""


def costs_chart(table: Table) -> Chart | None:
    """None where fewer than two costs are known: the front shows one."""
    rows, found = weighed_rows(table), known_costs(table)
    if not found:
        return None
    points = [point for what, costs in found.items() for point in _points(table, rows, what, costs)]
    drawn = alt.layer(*_layers(table, rows), data=alt.NamedData("costs")).properties(width=PANEL, height=TALL)
    heading = alt.Header(labelFontSize=12, title=None)
    panels = drawn.facet(facet=alt.Facet("what:N", sort=list(found), header=heading), columns=BESIDE)
    others = len(rows) - len(named_rows(rows))
    return Chart(
        "costs",
        f"Test {directed(table.metric)} against every cost that was measured, means over seeds"
        f"{f'; grey: the other {others}' if others else ''}. Point at a mark for its name: it is marked in every "
        "panel.",
        with_data(panels.resolve_scale(x="independent"), {"costs": points}),
        height_of(len(found)),
    )


def _layers(table: Table, rows: Sequence[TableRow]) -> Iterator[Any]:
    axis = alt.Axis(labelExpr=LABELS, labelOverlap=True, labelSeparation=14)
    x = alt.X("cost:Q", title=None, scale=alt.Scale(type="log", padding=14, nice=False), axis=axis)
    up = score_range([row.scores[table.metric].mean for row in rows], score_of(table.metric))
    scale = alt.Scale(domain=list(up), reverse=lower_is_better(table.metric), nice=False)
    titles = {row.strategy: row.title for row in rows}
    looks = {titles[name]: colour for name, colour in in_colour(rows).items()}
    legend = alt.Legend(orient="bottom", columns=4, labelLimit=220, symbolOpacity=1)
    near = alt.selection_point(name="near", on="pointerover", fields=["name"], nearest=True, empty=False)
    # Not a layer for each: one that is empty has no ends for an axis that each panel has of its own.
    named = alt.Color("name:N", title=None, scale=scale_of(looks), legend=legend)
    sizes = alt.when(near).then(alt.value(220)).when(alt.datum.named).then(alt.value(70)).otherwise(alt.value(30))
    marks = alt.Chart().mark_point(filled=True, size=60, opacity=0.9)
    yield marks.encode(
        x=x,
        y=alt.Y("mean:Q", title=f"test {directed(table.metric)}", scale=scale),
        color=alt.condition(alt.datum.named, named, alt.value(GREY)),
        size=sizes,
        tooltip=tips_of({"name": "strategy", "words": "score", "costs": "cost"}),
    ).add_params(near)


def _points(table: Table, rows: Sequence[TableRow], what: str, costs: Mapping[str, float]) -> Rows:
    chosen = named_rows(rows)
    return [
        {
            "strategy": row.strategy,
            "name": row.title,
            "what": what,
            "cost": costs[row.strategy],
            "costs": (milliseconds if what in UNITS else count)(costs[row.strategy]),
            "mean": row.scores[table.metric].mean,
            "words": f"{score(row.scores[table.metric])} {title(table.metric)}",
            "named": row in chosen,
        }
        for row in rows
        if row.strategy in costs
    ]
