"""The Pareto front over a score (higher is better) and a cost (lower is better), as far as the noise lets one tell.

    b dominates a  iff  mean_b >= mean_a and cost_b <= cost_a, and in at least one of the two beyond the interval:
        score: the 95 % interval of the paired difference b - a, for seeds and test rows, lies above 0
        cost:  cost_b (1 + spread_b) < cost_a (1 - spread_a)

So a dominated point is no better in either and worse beyond the noise in one; whatever is not dominated is on the
front. Without noise this is the usual front. Dominance implies a strictly better point, so the front is never empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from fusionbench.stats.estimate import Scored
from fusionbench.stats.paired import Matrix, matrix


@dataclass(frozen=True)
class Point:
    """One strategy as a trade-off."""

    scores: Mapping[int, Scored]
    """By seed; at least one."""
    cost: float
    """Median latency, parameters, ...; above or at 0."""
    spread: float = 0.0
    """How far the cost is uncertain to each side, as a fraction of it; 0 for what is counted."""

    @property
    def mean(self) -> float:
        """The mean score."""
        return fmean(one.score for one in self.scores.values())


def front(points: Sequence[Point], apart: Matrix | None = None) -> list[bool]:
    """Whether each point is on the front.

    Args:
        points: to be weighed.
        apart: all differences of their scores, in their order, where these are known.
    """
    if not points:
        return []
    means, costs, spreads = (
        np.array(values) for values in zip(*((p.mean, p.cost, p.spread) for p in points), strict=True)
    )
    apart = apart or matrix({str(index): point.scores for index, point in enumerate(points)})
    # At one shared seed there is no interval, so no difference is beyond it: NaN is not above anything.
    better = apart.mean > apart.half_width
    cheaper = (costs * (1 + spreads))[:, None] < (costs * (1 - spreads))[None, :]
    no_worse = (means[:, None] >= means[None, :]) & (costs[:, None] <= costs[None, :])
    dominates = no_worse & (better | cheaper)
    return [not dominated for dominated in dominates.any(0).tolist()]


def staircase(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats by its estimates alone, cheapest first: where the line is drawn."""
    stairs: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.mean)):
        if not stairs or point.mean > stairs[-1].mean:
            stairs.append(point)
    return stairs
