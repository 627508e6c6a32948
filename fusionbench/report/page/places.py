"""Where labels of the interactive front go: as in the picture for papers, on a plot of a usual size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fusionbench.report.labels import Box, Spot, place
from fusionbench.report.marks import MANY, Mark, is_named

WIDTH, HEIGHT = 900, 380
"""Pixels: a page's plot is about as wide, and as tall."""
LETTER, LINE, HALF = 6.4, 13.0, 5.0
"""Pixels: of a label's letters across and down, and of half a mark."""
FARTHEST = 16.0
"""Between a mark and its label, in pixels: one that has to go farther is left out, as nobody could say whose it is."""


@dataclass(frozen=True)
class Offset:
    """Of a label's middle from its mark, in pixels, y down."""

    x: float
    y: float


@dataclass(frozen=True)
class Plot:
    """Where numbers lie on it, in pixels from its lower left corner."""

    across: tuple[float, float]
    """The ends of the logarithmic axis of costs."""
    up: tuple[float, float]
    """The scores at the bottom and at the top."""

    def at(self, cost: float, score: float) -> tuple[float, float]:
        """A point."""
        left, right = map(math.log, self.across)
        bottom, top = self.up
        return WIDTH * (math.log(cost) - left) / (right - left), HEIGHT * (score - bottom) / (top - bottom)

    def around(self, mark: Mark) -> Box:
        """A mark."""
        x, y = self.at(mark.cost, mark.score.mean)
        return Box(x - HALF, y - HALF, x + HALF, y + HALF)

    def lines(self, marks: Sequence[Mark], stairs: Sequence[tuple[float, float]]) -> Iterator[Box]:
        """Intervals, and the steps of the front, as thin boxes."""
        for mark in marks:
            (x, one), (_, other) = (self.at(mark.cost, end) for end in mark.ends)
            yield Box(x - 1, min(one, other), x + 1, max(one, other))
        corners = [self.at(cost, mean) for cost, mean in stairs]
        for (x, y), (next_x, next_y) in pairwise(corners):
            yield Box(x, y - 1, next_x, y + 1)
            yield Box(next_x - 1, min(y, next_y), next_x + 1, max(y, next_y))


def offsets(
    marks: Sequence[Mark], stairs: Sequence[tuple[float, float]], across: tuple[float, float], up: tuple[float, float]
) -> dict[str, Offset]:
    """By strategy, of the labels that are shown.

    Args:
        marks: of the picture.
        stairs: cost and score of each step of the front.
        across: the ends of the logarithmic axis of costs.
        up: the scores at the bottom and at the top.
    """
    plot = Plot(across, up)
    named = [mark for mark in marks if is_named(mark, len(marks))][:MANY]  # The best: more would find no place.
    spots = [Spot(*plot.at(mark.cost, mark.score.mean), len(mark.label) * LETTER + 2 * HALF, LINE) for mark in named]
    others = [plot.around(mark) for mark in marks if mark not in named]
    own = [plot.around(mark) for mark in named]
    boxes = place(spots, own, others, list(plot.lines(marks, stairs)), Box(2, 2, WIDTH - 2, HEIGHT - 2))
    return {
        mark.row.strategy: Offset(box.centre[0] - spot.x, spot.y - box.centre[1])
        for mark, spot, box in zip(named, spots, boxes, strict=True)
        if box.distance(spot.x, spot.y) <= FARTHEST
    }
