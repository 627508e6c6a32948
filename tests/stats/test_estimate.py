"""One interval for seeds and test rows: by hand, by scipy, and by how often it holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fusionbench.stats.estimate import Scored, difference, estimate

ROWS = tuple(np.random.default_rng(0).normal(0.9, 0.01, 400).tolist())


def test_without_resamples_it_is_the_t_interval_over_seeds() -> None:
    values = [0.91, 0.93, 0.95]
    found = estimate({seed: Scored(value) for seed, value in enumerate(values)})
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert found.half_width == pytest.approx((high - low) / 2)
    assert (found.mean, found.low) == pytest.approx((0.93, low))
    assert (found.n, found.test_error) == (3, None)


def test_both_errors_add_up_with_degrees_of_freedom_in_which_the_seeds_count_more() -> None:
    values = [0.91, 0.93, 0.95]
    found = estimate({seed: Scored(value, ROWS, "d", 10_000) for seed, value in enumerate(values)})
    seed, test = float(stats.sem(values)), float(np.std(ROWS, ddof=1))
    counted = 2.5 * seed**2  # 1 + 3 / (n - 1) times
    degrees = (counted + test**2) ** 2 / (counted**2 / 2 + test**4 / 399)
    assert found.seed_error == pytest.approx(seed)
    assert found.test_error == pytest.approx(test)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, degrees) * math.hypot(seed, test))


def test_with_many_seeds_it_is_welchs_interval_of_two_samples() -> None:
    """sqrt(s1^2/n1 + s2^2/n2) with Satterthwaite's degrees of freedom is what scipy makes of two samples."""
    rng = np.random.default_rng(1)
    seeds, other = rng.normal(0.5, 0.02, 100), rng.normal(0, 0.05, 113)
    welch = stats.ttest_ind(seeds, other, equal_var=False).confidence_interval()
    # As many units as the second sample has, and an error that is its standard error.
    rows = np.tile([-1.0, 1.0], 200)
    rows *= float(stats.sem(other)) / rows.std(ddof=1)
    found = estimate({seed: Scored(float(value), rows.tolist(), "d", 113) for seed, value in enumerate(seeds)})
    assert found.half_width == pytest.approx((welch.high - welch.low) / 2, rel=1e-3)


def test_a_difference_is_paired_by_seed_and_by_row() -> None:
    shift = (np.array(ROWS) - 0.05).tolist()
    a = {seed: Scored(value, ROWS, "d", 100) for seed, value in enumerate((0.9, 0.8, 0.7))}
    b = {seed: Scored(value, shift, "d", 100) for seed, value in enumerate((0.85, 0.75, 0.65, 0.1))}
    found = difference(a, b)
    assert found.mean == pytest.approx(0.05)
    assert found.n == 3
    assert found.half_width == pytest.approx(0.0, abs=1e-12)


def test_rows_of_another_draw_do_not_pair_off() -> None:
    a = {0: Scored(0.9, ROWS, "d", 100), 1: Scored(0.8, ROWS, "d", 100)}
    b = {0: Scored(0.8, ROWS, "e", 100), 1: Scored(0.9, ROWS, "e", 100)}
    assert difference(a, b).test_error is None


def test_one_seed_has_no_interval_and_none_is_an_error() -> None:
    found = estimate({3: Scored(0.9, ROWS, "d", 100)})
    assert (found.half_width, found.low, found.seed_error) == (None, None, None)
    assert found.test_error == pytest.approx(np.std(ROWS, ddof=1))
    with pytest.raises(ValueError, match="at least one seed"):
        estimate({})
    with pytest.raises(ValueError, match="a seed that both have"):
        difference({0: Scored(0.9)}, {1: Scored(0.9)})


def test_equal_scores_on_rows_without_error_are_exact() -> None:
    found = estimate({seed: Scored(0.1, (0.1,) * 400, "d", 50) for seed in range(6)})
    assert (found.mean, found.half_width) == (0.1, 0.0)


def test_what_rows_and_seeds_do_together_is_counted_once() -> None:
    """Of two crossed random factors the variance of the mean is (MS_seed + MS_row - MS_rest) / (n N)."""
    rng, n, rows = np.random.default_rng(3), 5, 400
    y = rng.normal(0, 1, (n, 1)) + rng.normal(0, 8, rows) + rng.normal(0, 20, (n, rows))
    by_seed, by_row = y.mean(1, keepdims=True), y.mean(0, keepdims=True)
    rest = float(((y - by_seed - by_row + y.mean()) ** 2).sum()) / ((n - 1) * (rows - 1))
    crossed = (rows * by_seed.var(ddof=1) + n * by_row.var(ddof=1) - rest) / (n * rows)
    # As good as infinitely many resamples: weights such that the variance of the weighted means is the bootstrap's.
    draws = np.random.default_rng(4).multinomial(rows, np.full(rows, 1 / rows), size=4_000) / rows
    found = estimate({s: Scored(float(one.mean()), one @ draws.T, "d", rows) for s, one in enumerate(y)})
    assert found.half_width is not None
    assert found.seed_error is not None
    assert found.test_error is not None
    total = found.seed_error**2 + found.test_error**2
    assert found.test_error < math.sqrt(crossed) < 0.95 * math.sqrt(total)
    counted = 1.75 * found.seed_error**2
    degrees = (crossed - found.seed_error**2 + counted) ** 2 / (counted**2 / 4 + found.test_error**4 / 399)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, degrees) * math.sqrt(crossed), rel=0.03)


def test_it_is_never_narrower_than_one_error_alone() -> None:
    """Seeds that happen to agree on a difference of which rows are uncertain."""
    rng = np.random.default_rng(5)
    by_seed = {s: Scored(0.9, rng.normal(0.9, 0.02, 400), "d", 10_000) for s in range(3)}
    found = estimate(by_seed)
    assert found.seed_error == 0
    assert found.half_width is not None
    assert found.test_error is not None
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 399) * found.test_error)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_it_holds_the_truth_about_as_often_as_it_says(ratio: float) -> None:
    rng, n, units, held = np.random.default_rng(7), 3, 200, 0
    for _ in range(1000):
        shared = rng.normal(0, math.sqrt(ratio / n))  # What the test rows add, to every seed alike.
        scores = rng.normal(0, 1, n) + shared
        rows = rng.normal(0, math.sqrt(ratio / n), 400)
        found = estimate({s: Scored(float(v), rows.tolist(), "d", units) for s, v in enumerate(scores)})
        assert found.half_width is not None
        held += abs(found.mean) <= found.half_width
    assert held / 1000 == pytest.approx(0.95, abs=0.03)
