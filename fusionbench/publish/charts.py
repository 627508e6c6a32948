"""Charts that W&B does not have: ranked bars with intervals, and the same from close by. Vega-Lite, as W&B takes it.

They read the table `ranked` (publish/summaries.py). A spec is saved with W&B once for an account, under a name that
ends in its hash, so that a later one never changes what an older report shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fusionbench.core.canonical import short_key

TOLD = ("strategy", "mean", "low", "high", "seeds")
"""Columns of the table that are told where the pointer is."""
FIELDS = (*TOLD, "rank", "close")
"""All that are read: also the order, and whether a line is part of the close view."""
BLUE, GREY = "#0072B2", "#6B6B6B"
"""As in report/figures.py: two that colour-blind readers tell apart."""


@dataclass(frozen=True)
class Chart:
    """A spec and what it is called."""

    title: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """As W&B keeps it."""
        return f"fusionbench-{self.title.replace(' ', '-')}-{short_key(self.spec, 6)}"


def _field(name: str) -> str:
    """The column that is put in its place."""
    return f"${{field:{name}}}"


def _spec(mark: dict[str, Any], *, from_zero: bool) -> dict[str, Any]:
    """Strategies from best to worst along y; along x the mean, and the 95 % interval as a line.

    From close by, what looks at nothing is left out: beside chance, all others are one point.
    """
    ranks = {"field": _field("rank"), "order": "ascending"}
    y = {"field": _field("strategy"), "type": "nominal", "title": None, "sort": ranks}
    x = {"type": "quantitative", "title": "${string:metric}", "scale": {"zero": from_zero}}
    told = [
        {"field": _field(name), "type": "nominal" if name == "strategy" else "quantitative"} for name in FIELDS[:-1]
    ]
    ends = {"x": {**x, "field": _field("low")}, "x2": {"field": _field("high")}}
    line = {"mark": {"type": "rule", "color": GREY, "strokeWidth": 2}, "encoding": ends}
    mean = {"mark": {"color": BLUE, **mark}, "encoding": {"x": {**x, "field": _field("mean")}}}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": "${string:title}",
        "data": {"name": "wandb"},
        "transform": [] if from_zero else [{"filter": {"field": _field("close"), "equal": True}}],
        "height": {"step": 18},
        "encoding": {"y": y, "tooltip": told},
        "layer": [mean, line] if from_zero else [line, mean],
    }


BARS = Chart("ranked bars", _spec({"type": "bar", "opacity": 0.7}, from_zero=True))
CLOSE = Chart("ranked intervals", _spec({"type": "point", "filled": True, "size": 40, "opacity": 1}, from_zero=False))
CHARTS = (BARS, CLOSE)
