"""The interactive picture of differences to the references, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from fusionbench.report.marks import differences_shown
from fusionbench.report.numbers import difference, significant
from fusionbench.report.page.looks import BLUE, GREY, ORANGE, Chart, scale_of, tips_of, with_data
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import signed
from fusionbench.stats.references import Against, Compared

STEP = 15


def differences_chart(table: Table) -> Chart | None:
    """A panel for each reference; None where there is none, or no interval."""
    found = [one for one in table.tests.references if any(row.p is not None for row in one.compared)]
    names = {row.strategy for one in found for row in one.compared}
    rows = [row for row in table.rows if row.strategy in names and row.uses != "none"]
    if not rows:
        return None
    panels, data = [], {}
    for at, one in enumerate(found):
        panels.append(_panel(table, one, rows, f"against{at}", is_first=at == 0))
        data[f"against{at}"] = [line for row in rows if (line := _against(one, row))]
    return Chart(
        "differences",
        f"Difference of test {signed(table.metric)} to each reference, with its own 95 % interval; in colour what is "
        "told apart from it (Holm at .05). What lies beyond an axis is at its edge.",
        with_data(alt.hconcat(*panels), data),
        STEP * len(rows) + 55,
    )


def _panel(table: Table, found: Against, rows: Sequence[TableRow], data: str, *, is_first: bool) -> alt.LayerChart:
    low, high = differences_shown(found, rows)
    scale = alt.Scale(domain=[low, high], clamp=True, nice=False)
    reference = next((row.title for row in table.rows if row.strategy == found.reference), found.reference)
    axis = alt.Axis(labelLimit=240, labels=is_first, ticks=False, labelOverlap=False)
    y = alt.Y("name:N", sort=[row.title for row in rows], title=None, axis=axis)
    base = alt.Chart(alt.NamedData(data)).encode(y=y)
    looks = {"better": BLUE, "worse": ORANGE, "not told apart": GREY}
    colour = alt.Color("told:N", title=None, scale=scale_of(looks))
    shapes = {"better": "triangle-up", "worse": "triangle-down", "not told apart": "circle"}
    shape = alt.Shape("told:N", title=None, scale=scale_of(shapes))
    x = alt.X("mean:Q", title=f"less {reference}", scale=scale, axis=alt.Axis(tickCount=5))
    tips = tips_of({"name": "strategy", "words": "difference", "p": "p, corrected", "told": "so it is"})
    bars = base.mark_rule(strokeWidth=1.4).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", color=colour)
    points = base.mark_point(filled=True, size=45, opacity=1).encode(x=x, color=colour, shape=shape, tooltip=tips)
    zero = alt.Chart(alt.NamedData(data)).mark_rule(strokeWidth=0.7).encode(x=alt.datum(0, scale=scale))
    return alt.layer(zero, bars, points).properties(width=300, height=alt.Step(STEP))


def _against(found: Against, row: TableRow) -> dict[str, Any] | None:
    one = found.of(row.strategy)
    if one is None:
        return None
    mean, half = one.estimate.mean, one.estimate.half_width or 0.0
    numbers = {"mean": mean, "low": mean - half, "high": mean + half, "words": difference(one.estimate)}
    p = "-" if one.p is None else significant(one.p, 2)
    return {"strategy": row.strategy, "name": row.title, **numbers, "p": p, "told": _told(one)}


def _told(one: Compared) -> str:
    return "better" if one.is_better else "worse" if one.is_worse else "not told apart"
