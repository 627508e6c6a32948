"""What all interactive pictures share: colours that read on white and on black, scales by word, tips, named data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

BLUE, ORANGE, GREY = "#2186C4", "#D9641A", "#8C8C8C"
PALETTE = (BLUE, "#D9641A", "#1FA37C", "#C678A4", "#B8860B", "#5AB4E5", "#8E6BBF")
"""As many as there are named curves; all at least 3 to 1 against white and against black."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A picture."""

    name: str
    caption: str
    spec: dict[str, Any]
    """Vega-Lite with its data, which are named: the page filters those that have a field `strategy`."""
    height: int
    """Pixels, about: what is kept free for it, so that nothing moves when it is drawn."""


def with_data(chart: Any, data: Mapping[str, Rows]) -> dict[str, Any]:
    """The chart as Vega-Lite, with the data that it names."""
    return {**chart.to_dict(), "datasets": dict(data)}


def drawn_number(value: float) -> float:
    """As many digits as a picture can show: of all seventeen, ten thousand points would weigh three times as much.

    >>> drawn_number(0.123456789), drawn_number(1234567.0)
    (0.12346, 1234600.0)
    """
    return float(f"{value:.5g}")


def scale_of(looks: Mapping[str, str]) -> alt.Scale:
    """A colour or a shape for each word."""
    return alt.Scale(domain=list(looks), range=list(looks.values()))


def tips_of(fields: Mapping[str, str]) -> list[alt.Tooltip]:
    """What is shown at a mark, by field and in words."""
    return [alt.Tooltip(f"{name}:N", title=words) for name, words in fields.items()]
