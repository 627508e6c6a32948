"""The Pareto front over a score (higher is better) and a cost (lower is better), as far as the noise lets one tell.

    b dominates a  iff  mean_b >= mean_a and cost_b <= cost_a, and in at least one of the two beyond the interval:
        score: the 95 % t interval of the differences b - a, over the seeds that both have, lies above 0
        cost:  cost_b (1 + spread_b) < cost_a (1 - spread_a)

So a dominated point is no better in either and worse beyond the noise in one; whatever is not dominated is on the
front. Without noise this is the usual front. Dominance implies a strictly better point, so the front is never empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fusionbench.stats.summary import mean_interval


@dataclass(frozen=True)
class Point:
    """One strategy as a trade-off."""

    scores: Mapping[int, float]
    """By seed; at least one."""
    cost: float
    """Median latency, parameters, ...; above or at 0."""
    spread: float = 0.0
    """How far the cost is uncertain to each side, as a fraction of it; 0 for what is counted."""

    @property
    def mean(self) -> float:
        """The mean score."""
        return fmean(self.scores.values())


def dominates(b: Point, a: Point) -> bool:
    """Whether b is no worse than a in both, and better beyond the interval in one."""
    if b.mean < a.mean or b.cost > a.cost:
        return False
    return _cheaper(b, a) or _better(b, a)


def front(points: Sequence[Point]) -> list[bool]:
    """Whether each point is on the front."""
    return [not any(dominates(other, point) for other in points) for point in points]


def staircase(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats by its estimates alone, cheapest first: where the line is drawn."""
    stairs: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.mean)):
        if not stairs or point.mean > stairs[-1].mean:
            stairs.append(point)
    return stairs


def _cheaper(b: Point, a: Point) -> bool:
    return b.cost * (1 + b.spread) < a.cost * (1 - a.spread)


def _better(b: Point, a: Point) -> bool:
    shared = sorted(b.scores.keys() & a.scores.keys())
    if len(shared) < 2:
        return False  # One seed has no interval, so no difference is beyond it.
    difference = mean_interval([b.scores[seed] - a.scores[seed] for seed in shared])
    return difference.mean > (difference.half_width or 0.0)
