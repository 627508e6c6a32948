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
COVERS, OUTSIDE = 60.0, 200.0
"""The price of each unit by which a label lies over a point or a label, or outside."""
CUTS_LINE, NEARER_TO_ANOTHER, LEADER_OVER = 14.0, 16.0, 60.0
"""The price of a line through a label, of a label nearer to another point, of a leader over a point or a label."""


@dataclass(frozen=True)
class Box:
    """A rectangle, x to the right and y up."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

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

    def distance(self, x: float, y: float) -> float:
        """From the point (x, y); 0 inside."""
        near = self.nearest(x, y)
        return math.hypot(near[0] - x, near[1] - y)

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


def place(
    spots: Sequence[Spot], points: Sequence[Box], nameless: Sequence[Box], lines: Sequence[Box], area: Box
) -> list[Box]:
    """A box for each label.

    Args:
        spots: the points and the size of their labels.
        points: their markers, in the same order, which no label may cover.
        nameless: markers of points that have no label; none may cover these either.
        lines: thin boxes (intervals, steps) that should not run through a label.
        area: where all labels have to lie.
    """
    candidates = []
    for spot, marker in zip(spots, points, strict=True):
        others = [point for point in (*points, *nameless) if point is not marker]
        candidates.append(
            [
                (box, price + COVERS * box.overlap(marker) + _own_cost(box, spot, others, lines, area))
                for box, price in _places(spot)
            ]
        )
    chosen = [min(options, key=lambda option: option[1])[0] for options in candidates]
    for _ in range(ROUNDS):
        before = list(chosen)
        for index, options in enumerate(candidates):
            placed = list(zip(chosen, spots, strict=True))
            neighbours = placed[:index] + placed[index + 1 :]
            spot = spots[index]
            chosen[index] = min(options, key=lambda option: option[1] + _shared_cost(option[0], spot, neighbours))[0]
        if chosen == before:
            break
    return chosen


def _places(spot: Spot) -> Iterator[tuple[Box, float]]:
    """Candidate boxes and their price: near ones, and among these those to the right, are cheapest."""
    half_width, half_height = spot.width / 2, spot.height / 2
    for gap in GAPS:
        for step in range(DIRECTIONS):
            angle = 2 * math.pi * step / DIRECTIONS
            x = spot.x + math.cos(angle) * (gap + half_width)
            y = spot.y + math.sin(angle) * (gap + half_height)
            turned = min(step, DIRECTIONS - step)
            yield Box(x - half_width, y - half_height, x + half_width, y + half_height), gap + 0.5 * turned


def _own_cost(box: Box, spot: Spot, others: Sequence[Box], lines: Sequence[Box], area: Box) -> float:
    """What a place costs whatever the other labels do."""
    own, end = box.distance(spot.x, spot.y), box.nearest(spot.x, spot.y)
    cost = OUTSIDE * box.outside(area) + CUTS_LINE * sum(box.overlap(line) > 0 for line in lines)
    for other in others:
        cost += COVERS * box.overlap(other)
        cost += NEARER_TO_ANOTHER * (box.distance(*other.centre) < own)
        cost += LEADER_OVER * _over(other, (spot.x, spot.y), end)
    return cost


def _shared_cost(box: Box, spot: Spot, labels: Sequence[tuple[Box, Spot]]) -> float:
    """Of lying over another label, or either's leader over the other."""
    end = box.nearest(spot.x, spot.y)
    cost = 0.0
    for label, other in labels:
        cost += COVERS * box.overlap(label)
        cost += LEADER_OVER * _over(label, (spot.x, spot.y), end)
        cost += LEADER_OVER * _over(box, (other.x, other.y), label.nearest(other.x, other.y))
    return cost


def _over(box: Box, start: tuple[float, float], end: tuple[float, float]) -> bool:
    """Whether the straight line from start to end runs over the box, seen at ten places."""
    steps = [step / 9 for step in range(10)]
    along = ((start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s) for s in steps)
    return any(box.left < x < box.right and box.bottom < y < box.top for x, y in along)
