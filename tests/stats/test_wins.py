"""P(A > B) and the signed-rank test against scipy's, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fusionbench.stats.refusals import NotTestable
from fusionbench.stats.wins import signed_rank_p, wins

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [6, 8])
def test_intervals_and_p_values_are_scipys_with_ties_too(n: int) -> None:
    scores = np.random.default_rng(n).integers(0, 5, (3, n)) / 10
    found = wins(scores, RNG)
    for i in range(3):
        for j in range(3):
            apart = scores[i] - scores[j]
            interval = stats.binomtest(int((apart > 0).sum()), n).proportion_ci(method="exact")
            assert (found.low[i, j], found.high[i, j]) == pytest.approx((interval.low, interval.high))
            assert found.ties[i, j] == (apart == 0).sum()
            if apart.any():
                theirs = stats.wilcoxon(apart, method=stats.PermutationMethod(n_resamples=2**n)).pvalue
                assert found.rank_p[i, j] == pytest.approx(theirs)
    assert found.rank_p[0, 0] == 1.0


def test_six_wins_of_six_are_the_least_that_reaches_the_level() -> None:
    found = wins(np.array([np.arange(6) + 1.0, np.zeros(6)]), RNG)
    assert found.rank_p[0, 1] == pytest.approx(2 / 2**6)


def test_below_six_seeds_nothing_is_tested() -> None:
    with pytest.raises(NotTestable, match="a rank test needs 6 seeds that both have, there are 5"):
        wins(np.zeros((2, 5)), RNG)


def test_of_many_seeds_signs_are_drawn() -> None:
    apart = np.random.default_rng(3).normal(0.2, 1, 20)
    assert signed_rank_p(apart, RNG) == pytest.approx(stats.wilcoxon(apart).pvalue, abs=0.02)
