"""Where labels go in a picture, so that none covers a point, a line or another label: plain geometry, no randomness.

Each label has candidate places around its point; the cheapest is taken, label by label, in rounds, until none moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROUNDS = 12
GAPS = (5.0, 10.0, 18.0, 30.0, 46.0, 66.0, 90.0)
"""Between a point and its label, in the unit of the boxes."""
DIRECTIONS = 16
COVERS_LABEL, COVERS_POINT, OUTSIDE, COVERS_LINE, CROSSES = 60.0, 60.0, 200.0, 6.0, 8.0
"""Prices: the first four for each unit of overlap in the narrower direction, the last for a leader over a label."""


@dataclass(frozen=True)
class Box:
    """A rectangle, x to the right and y up."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """How far the two lie over each other, in the direction in which it is less; 0 if they do not."""
        across = min(self.right, other.right) - max(self.left, other.left)
        along = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, min(across, along))

    def outside(self, area: Box) -> float:
        """How far it reaches out of an area."""
        return sum(
            max(0.0, reach)
            for reach in (
                area.left - self.left,
                self.right - area.right,
                area.bottom - self.bottom,
                self.top - area.top,
            )
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


@dataclass(frozen=True)
class Spot:
    """One point that wants a label."""

    x: float
    y: float
    width: float
    height: float
    """Of the label."""


def place(spots: Sequence[Spot], points: Sequence[Box], lines: Sequence[Box], area: Box) -> list[Box]:
    """A box for each label.

    Args:
        spots: the points and the size of their labels.
        points: markers that no label may cover.
        lines: thin boxes (intervals, steps) that a label had better not cover.
        area: where all labels have to lie.
    """
    candidates = [[(box, _own_cost(box, gap, turn, points, lines, area)) for box, gap, turn in _places(spot)]
                  for spot in spots]  # fmt: skip
    chosen = [min(options, key=lambda option: option[1])[0] for options in candidates]
    for _ in range(ROUNDS):
        before = list(chosen)
        for index, options in enumerate(candidates):
            others = chosen[:index] + chosen[index + 1 :]
            spot = spots[index]
            chosen[index] = min(options, key=lambda option: option[1] + _shared_cost(option[0], spot, others))[0]  # noqa: B023
        if chosen == before:
            break
    return chosen


def _places(spot: Spot) -> Iterator[tuple[Box, float, int]]:
    """Candidate boxes with their gap and how many sixteenths of a turn they are from the right."""
    for gap in GAPS:
        for step in range(DIRECTIONS):
            angle = 2 * math.pi * step / DIRECTIONS
            x = spot.x + math.cos(angle) * (gap + spot.width / 2)
            y = spot.y + math.sin(angle) * (gap + spot.height / 2)
            half_width, half_height = spot.width / 2, spot.height / 2
            box = Box(x - half_width, y - half_height, x + half_width, y + half_height)
            yield box, gap, min(step, DIRECTIONS - step)


def _own_cost(box: Box, gap: float, turn: int, points: Sequence[Box], lines: Sequence[Box], area: Box) -> float:
    cost = gap + turn * 0.5 + OUTSIDE * box.outside(area)
    cost += COVERS_POINT * sum(box.overlap(point) for point in points)
    return cost + COVERS_LINE * sum(box.overlap(line) for line in lines)


def _shared_cost(box: Box, spot: Spot, others: Sequence[Box]) -> float:
    end = box.nearest(spot.x, spot.y)
    cost = COVERS_LABEL * sum(box.overlap(other) for other in others)
    return cost + CROSSES * sum(_over(other, (spot.x, spot.y), end) for other in others)


def _over(box: Box, start: tuple[float, float], end: tuple[float, float]) -> bool:
    """Whether the straight line from start to end runs over the box, seen at ten places."""
    steps = [step / 9 for step in range(10)]
    along = ((start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s) for s in steps)
    return any(box.left < x < box.right and box.bottom < y < box.top for x, y in along)
