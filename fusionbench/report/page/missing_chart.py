"""The interactive matrix of what is missing in training by what is missing in the test: strategies by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fusionbench.plan.names import track_label
from fusionbench.report.numbers import score
from fusionbench.report.page.looks import Chart, Rows, tips_of, with_data
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed
from fusionbench.stats.estimate import Estimate

CELL, STEP = 34, 17
"""Pixels of a cell."""


def missing_chart(tables: Sequence[Table], lines: Sequence[Mapping[str, Any]]) -> Chart | None:
    """None where no training of these lacked anything.

    Args:
        tables: of one track.
        lines: as missing.csv has them, of the whole suite.
    """
    titles = {row.strategy: row.title for table in tables for row in table.rows if row.uses == "all"}
    tracks = {track_label(table.track) for table in tables}
    found = [line for line in lines if line["track"] in tracks and line["strategy"] in titles]
    trained = list(dict.fromkeys(line["train_missing"] for line in found))
    if trained in ([], ["none"]):
        return None
    several = len({line["dataset"] for line in found}) > 1
    points = _cells(found, titles, several)
    choices = list(dict.fromkeys(point["what"] for point in points))
    names = [title for name, title in titles.items() if any(line["strategy"] == name for line in found)]
    return Chart(
        "missing",
        f"Test {directed(found[0]['score'])} where a share of the test rows lacks a modality, a panel for each of what "
        "training lacked, means over seeds. Choose the modality; point at a cell for its interval.",
        with_data(_drawn(choices, names, trained), {"cells": points}),
        STEP * len(names) + 150,
    )


def _drawn(choices: Sequence[str], names: Sequence[str], trained: Sequence[str]) -> Any:
    what = alt.param(name="what", value=choices[0], bind=alt.binding_select(options=list(choices), name="missing: "))
    left = alt.Axis(labelLimit=240, ticks=False, domain=False, labelOverlap=False)
    base = alt.Chart().encode(
        x=alt.X("rate:O", title="share of test rows that lack it", axis=alt.Axis(labelAngle=0, ticks=False)),
        y=alt.Y("name:N", sort=list(names), title=None, axis=left),
    )
    tips = tips_of({"name": "strategy", "trained": "missing in training", "rate": "share of rows", "words": "mean"})
    fill = alt.Color("mean:Q", title=None, scale=alt.Scale(scheme="cividis"), legend=alt.Legend(orient="right"))
    cells = base.mark_rect().encode(color=fill, tooltip=tips)
    text = base.mark_text(fontSize=9.5).encode(
        text="short:N", color=alt.condition("datum.dark", alt.value("white"), alt.value("black"))
    )
    drawn = alt.layer(cells, text, data=alt.NamedData("cells")).properties(width=alt.Step(CELL), height=alt.Step(STEP))
    heading = alt.Header(labelFontSize=12, title="missing in training", titleFontWeight="normal")
    panels = drawn.facet(column=alt.Column("trained:N", sort=list(trained), header=heading))
    return panels.transform_filter(f"datum.what === {what.name}").add_params(what)


def _cells(lines: Sequence[Mapping[str, Any]], titles: Mapping[str, str], several: bool) -> Rows:
    known = [line for line in lines if line["mean"] is not None]
    what = [f"{line['modality']}, {line['dataset']}" if several else line["modality"] for line in known]
    middles = {one: _middle([line["mean"] for line, other in zip(known, what, strict=True) if other == one])
               for one in dict.fromkeys(what)}  # fmt: skip
    return [
        {
            "strategy": line["strategy"],
            "name": titles[line["strategy"]],
            "what": one,
            "trained": line["train_missing"],
            "rate": f"{line['test_rate']:g}",
            "mean": line["mean"],
            "short": f"{line['mean']:.2f}".removeprefix("0"),
            "dark": line["mean"] < middles[one],
            "words": score(Estimate(line["mean"], line["half_width"], line["seeds"])),
        }
        for line, one in zip(known, what, strict=True)
    ]


def _middle(means: Sequence[float]) -> float:
    return (min(means) + max(means)) / 2
