"""One table's part of a page: what it says, its rows, pictures, runs and methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fusionbench.report.captions import caption
from fusionbench.report.methods import paragraph
from fusionbench.report.opening import opening
from fusionbench.report.page.charts import charts
from fusionbench.report.page.grid import columns_of, controls, grid
from fusionbench.report.page.looks import Chart
from fusionbench.report.page.runs import runs
from fusionbench.report.page.texts import inline, paragraphs, shown
from fusionbench.report.tables import Table
from fusionbench.report.ties import ties
from fusionbench.report.titles import track_title

NAMES = {
    "front": "Score against cost",
    "differences": "Against the references",
    "pairs": "All pairs",
    "curves": "Learning curves",
    "costs": "Score against every cost",
    "robustness": "Noisy or missing inputs",
    "reliability": "Reliability",
    "missing": "Missing in training and in the test",
}
"""Headings of pictures; one that has none is called by its name."""


@dataclass(frozen=True)
class Part:
    """What a page holds of one table."""

    label: str
    """Data set and track in words."""
    tie: str
    """What ties with what, at what cost."""
    body: str
    """HTML."""
    pictures: Mapping[str, Mapping[str, Any]]
    """By name, Vega-Lite."""
    finished: str
    """When the newest of its runs ended; empty where none has."""


def part_of(table: Table, place: int, *, with_track: bool) -> Part:
    """A table's part, while its records are there.

    Args:
        table: what to show.
        place: of the table on the page, from 0: what names its pictures.
        with_track: whether the suite has several tracks.
    """
    found = list(charts(table))
    label = f"{table.title}, {track_title(table.track)}" if with_track else table.title
    figures = "".join(figure(f"{place}-{one.name}", one) for one in found)
    ends = (o.record.finished for row in table.rows for o in row.outcomes if o.record)
    return Part(
        label,
        ties(table),
        "\n".join(_body(table, label, figures)),
        {f"{place}-{one.name}": one.spec for one in found},
        max(ends, default=""),
    )


def _body(table: Table, label: str, figures: str) -> Iterator[str]:
    yield f"<h2>{shown(label)}</h2>"
    yield paragraphs(opening(table))
    found = columns_of(table)
    yield controls(table.rows, found)
    yield grid(table.rows, found, f"Strategies on {label}")
    yield f'<details class="reading"><summary>How to read this table</summary>\n{paragraphs(caption(table))}</details>'
    yield figures
    planned = sum(len(row.outcomes) for row in table.rows)
    yield f'<details class="every"><summary>Every run ({planned:,}), with its record</summary>\n{runs(table)}</details>'
    methods = " ".join(map(inline, paragraph(table)))
    yield f'<details class="methods"><summary>Methods, for a paper</summary>\n<p>{methods}</p></details>'


def figure(name: str, found: Chart) -> str:
    """The place of a picture, which is drawn when it comes into view.

    Args:
        name: of the picture on the page.
        found: the picture.
    """
    heading = shown(NAMES.get(found.name, found.name))
    place = f'class="picture" role="region" tabindex="0" aria-label="{heading}" style="min-height: {found.height}px"'
    inside = f"<h3>{heading}</h3><div {place}></div><figcaption>{inline(found.caption)}</figcaption>"
    return f'<figure data-picture="{shown(name)}">{inside}</figure>\n'
