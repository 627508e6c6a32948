"""Interactive pictures of what shipped measures found, with the points of the pictures for papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from fusionbench.core.scores import bare, lower_is_better, score_of
from fusionbench.report.marks import named_rows, score_range
from fusionbench.report.page.line_layers import below, height_of, in_colour, line_layers, line_point, panels_of
from fusionbench.report.page.looks import GREY, Chart, Rows, with_data
from fusionbench.report.reliability_points import PARTS, calibrated_rows
from fusionbench.report.reliability_points import points as reliability_points
from fusionbench.report.robustness_points import FEWEST, places, robust_rows
from fusionbench.report.robustness_points import points as robustness_points
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.robust import Place

HINT = "Point at a line for its name."


def robustness_chart(table: Table) -> Chart | None:
    """The score by severity, a panel for each way in which inputs are spoilt; None where it was not measured."""
    rows, found = robust_rows(table), places(table)
    points = _robust_points(table, rows, found)
    if not points:
        return None
    ends = [point["mean"] for point in points if point["named"]] or [point["mean"] for point in points]
    scale = alt.Scale(
        domain=list(score_range(ends, score_of(table.metric))), reverse=lower_is_better(table.metric), nice=False
    )
    x = alt.X("x:Q", title="severity, or share of rows that lack it", scale=alt.Scale(domain=[0, 1]))
    words, tips = f"test {directed(table.metric)}", {"name": "strategy", "x": "severity", "words": "mean"}
    layers = line_layers(x, words, scale, _colours(rows), tips, below())
    names = list(dict.fromkeys(point["panel"] for point in points))
    return Chart(
        "robustness",
        f"Test {directed(table.metric)} where one modality is noisy or missing, means over seeds{_grey(rows)}. {HINT}",
        with_data(panels_of(layers, names), {"points": points}),
        height_of(len(names)),
    )


def _robust_points(table: Table, rows: Sequence[TableRow], found: Sequence[Place]) -> Rows:
    chosen, metric = named_rows(rows), bare(table.metric)
    return [
        {
            **line_point(row, severity, one, named=row in chosen, band=one.n >= FEWEST),
            "panel": f"{place[0]}: {place[1]}",
        }
        for place in found
        for row in rows
        for severity, one in robustness_points(row, place, metric)
    ]


def reliability_chart(table: Table) -> Chart | None:
    """As trained, and at the fitted temperature; None where calibration was not measured."""
    rows = calibrated_rows(table)
    chosen = named_rows(rows)
    points = [
        {**line_point(row, sure, Estimate(right, None, 1), named=row in chosen, band=False), "panel": words}
        for part, words in PARTS.items()
        for row in rows
        for sure, right in reliability_points(row, part)
    ]
    if not points:
        return None
    whole = alt.Scale(domain=[0, 1])
    x = alt.X("x:Q", title="confidence", scale=whole)
    tips = {"name": "strategy", "x": "confidence", "words": "share that is right"}
    layers = line_layers(x, "share that is right", whole, _colours(rows), tips, below())
    one = alt.Chart().transform_aggregate(count="count()")  # Else a line for each point.
    ends = one.mark_rule(color=GREY, strokeDash=[2, 2]).encode(
        x=alt.datum(0, scale=whole), x2=alt.datum(1), y=alt.datum(0, scale=whole), y2=alt.datum(1)
    )  # fmt: skip
    return Chart(
        "reliability",
        f"How often answers of a confidence are right, all seeds together; dotted: as sure as right{_grey(rows)}. "
        f"{HINT}",
        with_data(panels_of(iter([ends, *layers]), list(PARTS.values())), {"points": points}),
        height_of(len(PARTS)),
    )


def _colours(rows: Sequence[TableRow]) -> Mapping[str, str]:
    titles = {row.strategy: row.title for row in rows}
    return {titles[name]: colour for name, colour in in_colour(rows).items()}


def _grey(rows: Sequence[TableRow]) -> str:
    others = len(rows) - len(named_rows(rows))
    return f"; grey: the other {others}" if others else ""
