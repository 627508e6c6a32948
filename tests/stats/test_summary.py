"""Means, intervals and detectable differences, against scipy and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fusionbench.stats.summary import Summary, mean_interval, smallest_difference, standing

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda v: max(v) - min(v) > 1e-6)


@given(SCORES)
def test_the_interval_is_that_of_scipy(values: list[float]) -> None:
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert found.half_width is not None
    assert found.mean - found.half_width == pytest.approx(low, abs=1e-12)
    assert found.mean + found.half_width == pytest.approx(high, abs=1e-12)


def test_three_seeds_by_hand() -> None:
    found = mean_interval([0.90, 0.92, 0.94])
    assert found.mean == pytest.approx(0.92)
    assert found.half_width == pytest.approx(4.302652729749462 * 0.02 / math.sqrt(3))


def test_one_seed_has_a_mean_and_no_interval() -> None:
    assert mean_interval([0.5]) == Summary(0.5, None, 1)


def test_equal_values_have_an_interval_of_exactly_zero() -> None:
    assert mean_interval([0.1] * 3) == Summary(0.1, 0.0, 3)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_no_values_or_odd_ones_have_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


@pytest.mark.parametrize("n", [3, 5, 6, 10])
def test_the_interval_covers_the_truth_95_times_in_100(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [mean_interval(values) for values in rng.normal(0.8, 0.02, (4000, n)).tolist()]
    covered = np.mean([abs(s.mean - 0.8) <= (s.half_width or 0) for s in found])
    # 4,000 draws: three standard errors of a coverage of .95 are .0103.
    assert abs(float(covered) - 0.95) < 0.0104


@pytest.mark.parametrize(
    ("n", "word"), [(1, "exploratory"), (5, "exploratory"), (6, ""), (9, ""), (10, "confirmatory")]
)
def test_what_a_number_of_seeds_may_claim(n: int, word: str) -> None:
    assert standing(n) == word


@pytest.mark.parametrize(("strategies", "n"), [(2, 3), (2, 6), (8, 3), (8, 6)])
def test_the_detectable_difference_has_a_power_of_80_per_cent(strategies: int, n: int) -> None:
    scores = np.random.default_rng(1).normal(0.9, 0.01, (strategies, n))
    difference = smallest_difference(scores.tolist())
    assert difference is not None
    # Residual variance by ordinary least squares on strategy and seed indicators, not by the formula.
    rows = [
        [float(k == i) for i in range(strategies)] + [float(s == j) for j in range(1, n)]
        for k in range(strategies)
        for s in range(n)
    ]
    fit = np.linalg.lstsq(np.array(rows), scores.ravel(), rcond=None)
    degrees = (strategies - 1) * (n - 1)
    error = math.sqrt(2 * float(fit[1][0]) / degrees / n)
    critical = stats.t.ppf(0.975, degrees)
    power = stats.nct.sf(critical, degrees, difference / error) + stats.nct.cdf(-critical, degrees, difference / error)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_a_simulated_true_difference_of_that_size_is_found_80_times_in_100() -> None:
    rng, n, sd = np.random.default_rng(3), 6, 0.01
    # With two strategies the blocked test is the paired t test; use the difference that belongs to the true variance.
    unit = smallest_difference([[1.0, -1.0] * 3, [-1.0, 1.0] * 3])
    assert unit is not None
    # For that pattern s2 = sum r^2 / 5 = 12 / 5.
    true = unit / math.sqrt(12 / 5) * sd
    seeds = rng.normal(0, 0.05, (4000, 1, n))
    x = seeds + rng.normal(0, sd, (4000, 2, n))
    p = stats.ttest_rel(x[:, 1] + true, x[:, 0], axis=1).pvalue
    assert abs(float(np.mean(p < 0.05)) - 0.8) < 0.02


def test_the_common_part_of_a_seed_does_not_hide_a_difference() -> None:
    scores = np.random.default_rng(2).normal(0.9, 0.01, (4, 6))
    shifted = scores + np.linspace(0, 0.3, 6)
    assert smallest_difference(shifted.tolist()) == pytest.approx(smallest_difference(scores.tolist()), rel=1e-9)


@pytest.mark.parametrize(
    "scores", [[], [[0.9, 0.8]], [[0.9], [0.8]], [[0.9, 0.9], [0.8, 0.8]], [[0.9, 0.8], [0.7, 0.6]]]
)
def test_too_little_to_tell_gives_none(scores: list[list[float]]) -> None:
    assert smallest_difference(scores) is None
