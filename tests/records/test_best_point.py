"""Which point of a search is the best: the mean over trial seeds, with trials that did not end well counted."""

from __future__ import annotations

import math

import pytest

from fusionbench.plan.tracks import Trial
from fusionbench.records.trials import best_of


def trial(given: float | tuple[float, float] | str) -> Trial:
    """Done with a score, or a score and an NLL; or a status."""
    if isinstance(given, str):
        return Trial(given, (-math.inf, -math.inf))
    score, nll = given if isinstance(given, tuple) else (given, 1.0)
    return Trial("done", (score, -nll))


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(0.9, 0.7), (0.85, 0.85), (0.6, 0.99)], 1),  # The best mean, not the best trial.
        ([(0.8, 0.8), (0.7, 0.9)], 0),  # Of equals the earlier one.
        ([((0.8, 0.5), (0.8, 0.5)), ((0.7, 0.3), (0.9, 0.3))], 1),  # Or the lower NLL.
        ([(0.99, "diverged"), (0.5, 0.5)], 1),  # A seed that diverged counts against it.
        ([(0.6, "failed"), ("diverged", 0.7), ("diverged", "diverged")], 1),
        ([("diverged", "diverged"), (0.1, 0.1)], 1),
        ([("failed", "failed"), ("skipped", "diverged")], None),
        ([(0.4,), (0.6,), (0.5,)], 1),
    ],
)
def test_the_best_mean_over_seeds_wins(points: list[tuple[float | str, ...]], best: int | None) -> None:
    assert best_of([[trial(one) for one in point] for point in points]) == best
