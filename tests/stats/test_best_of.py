"""The best of n trials, against cases done by hand, against all draws there are, and against others' formula."""

from __future__ import annotations

from itertools import combinations, pairwise, product
from statistics import fmean, pstdev

import numpy as np
import pytest
from scipy.special import comb

from fusionbench.stats.best_of import best_of

AUTHORS = [
    *(0.8, 0.75, 0.9, 0.24, 0.45, 0.6, 0.65, 0.67, 0.49, 0.49),
    *(0.59, 0.52, 0.78, 0.84, 0.63, 0.42, 0.85, 0.76, 0.68, 0.6),
]
"""The example that the authors' own program has, allenai/show-your-work, plot.py."""


def test_two_points_by_hand() -> None:
    # Of two draws both are .5 once in four, else .9 is among them.
    one, two = best_of([0.9, 0.5])
    assert (one.n, two.n) == (1, 2)
    assert one.expected == pytest.approx(0.7)
    assert one.spread == pytest.approx(0.2)
    assert two.expected == pytest.approx(0.5 / 4 + 0.9 * 3 / 4)
    assert two.spread == pytest.approx((0.3**2 / 4 + 0.1**2 * 3 / 4) ** 0.5)
    assert [one.unbiased, two.unbiased] == pytest.approx([0.7, 0.9])
    assert [two.low, two.high] == pytest.approx([0.8 - 0.03**0.5, 0.9])  # Nothing above .9 was seen.


def test_three_points_by_hand() -> None:
    # (i/3)^2: 1/9, 4/9, 9/9, so the best of two is v_1 in 1, v_2 in 3 and v_3 in 5 of 9.
    _, two, _ = best_of([0.2, 0.6, 0.8])
    assert two.expected == pytest.approx((0.2 + 3 * 0.6 + 5 * 0.8) / 9)
    assert two.unbiased == pytest.approx((0.6 + 0.8 + 0.8) / 3)


def test_it_is_the_mean_over_all_draws_that_there_are() -> None:
    scores = [0.3, 0.9, 0.5, 0.5, 0.7]
    for found in best_of(scores):
        with_replacement = [max(draw) for draw in product(scores, repeat=found.n)]
        assert found.expected == pytest.approx(fmean(with_replacement))
        assert found.spread == pytest.approx(pstdev(with_replacement))
        assert found.unbiased == pytest.approx(fmean(map(max, combinations(scores, found.n))))


def test_the_authors_example_gives_what_their_formula_gives() -> None:
    v, count = sorted(AUTHORS), len(AUTHORS)
    for found in best_of(AUTHORS):
        cdf = [(i / count) ** found.n for i in range(count + 1)]
        expected = sum(value * (cdf[i + 1] - cdf[i]) for i, value in enumerate(v))
        assert found.expected == pytest.approx(expected, abs=1e-12)
        corrected = sum(value * comb(i, found.n - 1) for i, value in enumerate(v)) / comb(count, found.n)
        assert found.unbiased == pytest.approx(corrected, abs=1e-12)


def test_the_estimate_is_below_the_unbiased_one_most_of_all_where_n_is_all_points() -> None:
    rng = np.random.default_rng(0)
    gaps = np.array([[one.unbiased - one.expected for one in best_of(rng.normal(size=16).tolist())] for _ in range(50)])
    assert gaps[:, 1:].min() > 0
    assert gaps.mean(0).argmax() == 15


def test_over_many_searches_the_unbiased_one_is_what_they_find() -> None:
    rng = np.random.default_rng(1)
    found = np.array([[one.unbiased for one in best_of(row)] for row in rng.random((4000, 8)).tolist()]).mean(0)
    truth = np.arange(1, 9) / np.arange(2, 10)  # Of n uniform numbers, the largest is n / (n + 1) on average.
    assert found == pytest.approx(truth, abs=0.006)


def test_equal_scores_have_no_spread_and_a_thousand_points_are_no_trouble() -> None:
    assert {(one.expected, one.spread, one.low, one.high) for one in best_of([0.5] * 4)} == {(0.5, 0.0, 0.5, 0.5)}
    many = best_of(np.random.default_rng(2).random(1024).tolist())
    assert len(many) == 1024
    assert all(a.unbiased < b.unbiased for a, b in pairwise(many[:512]))


@pytest.mark.parametrize("scores", [[], [0.5, float("nan")]])
def test_what_is_no_score_is_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        best_of(scores)
