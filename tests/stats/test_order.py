"""Kendall's tau against scipy and by hand, and how often its interval holds what another pair of orders would give."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from fusionbench.stats.order import Floats, Interval, Order, agreement, residuals_of, tau_b, top_tau

SEEDS = 3


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("levels", [3, 1000], ids=["ties", "no ties"])
def test_tau_is_scipys(levels: int) -> None:
    made = rng().integers(0, levels, (20, 2, 15)).astype(float)
    found = tau_b(made[:, 0], made[:, 1])
    assert found.tolist() == pytest.approx([stats.kendalltau(a, b).statistic for a, b in made])


def test_tau_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert tau_b(a, b) == pytest.approx((5 - 1) / 6)
    assert tau_b(a, -a) == -1
    # One pair tied in the second order: (5 - 0) / sqrt(6 * 5).
    assert tau_b(a, np.array([1.0, 2.0, 2.0, 4.0])) == pytest.approx(5 / np.sqrt(30))
    assert tau_b(a, np.ones(4)) == 0


def test_the_top_of_either_order_is_asked_and_the_mean_taken() -> None:
    made = rng().normal(size=(2, 30))
    first, second = (np.argsort(-order)[:8] for order in made)
    expected = [stats.kendalltau(made[0][best], made[1][best]).statistic for best in (first, second)]
    assert top_tau(made[0], made[1], top=8) == pytest.approx(np.mean(expected))
    assert top_tau(made[0], made[1], top=30) == pytest.approx(tau_b(*made))


def test_equal_strategies_have_no_order_among_the_best_of_one_order_but_would_among_those_of_the_sum() -> None:
    made = rng().normal(size=(400, 2, 60))
    assert float(top_tau(made[:, 0], made[:, 1]).mean()) == pytest.approx(0, abs=0.02)
    best = np.argsort(-made.sum(1), axis=-1)[:, None, :20]
    chosen = np.take_along_axis(made, np.repeat(best, 2, axis=1), -1)
    assert float(tau_b(chosen[:, 0], chosen[:, 1]).mean()) < -0.3


def test_residuals_have_the_variance_of_a_strategys_own_noise() -> None:
    common = rng().normal(0, 50, SEEDS)
    scores = rng().normal(0, 2, (4000, SEEDS)) + common + np.arange(4000)[:, None]
    found = residuals_of(scores)
    assert float((found**2).sum(1).mean() / (SEEDS - 1)) == pytest.approx(4, rel=0.1)
    few = np.array([residuals_of(scores[i : i + 5]) for i in range(0, 4000, 5)])
    assert float((few**2).sum(2).mean() / (SEEDS - 1)) == pytest.approx(4, rel=0.1)


def made_up(means: Floats, noise: float = 0.0) -> Order:
    deviations = rng().normal(0, noise, (len(means), SEEDS))
    return Order(means, residuals_of(deviations), tuple("abc"), SEEDS)


def test_without_noise_the_order_is_as_sure_as_it_is_seen() -> None:
    found = agreement(made_up(np.arange(25.0)), made_up(np.arange(25.0)), rng())
    assert (found.all.value, found.top.value, found.all.high) == (1, 1, 1)
    assert found.all.low > 0.99
    assert not found.top.includes_zero


def test_more_noise_makes_a_wider_interval_and_other_strategies_a_wider_one_still() -> None:
    means = np.random.default_rng(3).normal(size=(2, 15)) + np.arange(15)
    found = [agreement(made_up(means[0], noise), made_up(means[1], noise), rng()) for noise in (0.3, 2.0)]
    widths = [one.all.high - one.all.low for one in found]
    wide = [one.all_wide.high - one.all_wide.low for one in found]
    assert widths[0] < widths[1]
    assert widths[0] < wide[0]
    assert all(one.all.low < one.all.value < one.all.high for one in found)


def test_of_at_most_twenty_strategies_all_are_the_top() -> None:
    means = rng().normal(size=(2, 20))
    found = agreement(made_up(means[0], 1), made_up(means[1], 1), rng())
    assert found.all == found.top
    assert found.strategies == 20


def test_the_same_generator_gives_the_same_interval() -> None:
    means = rng().normal(size=(2, 9))
    one, other = (made_up(each, 0.5) for each in means)
    assert agreement(one, other, rng()) == agreement(one, other, rng())
    assert agreement(one, other, rng()) != agreement(one, other, np.random.default_rng(6))


def test_test_rows_that_both_share_move_both_orders_alike() -> None:
    rows = np.random.default_rng(4).normal(0, 3.0, (12, 400))
    means = np.arange(12.0)
    flat = np.zeros((12, 1))
    shared = agreement(Order(means, flat, ("a",), 1, rows, "d"), Order(means, flat, ("b",), 1, rows, "d"), rng())
    apart = agreement(Order(means, flat, ("a",), 1, rows, "d"), Order(means, flat, ("b",), 1, rows, "e"), rng())
    # Without noise of its own to part them, two orders on the same rows cannot differ.
    assert shared.all.low > 0.98
    assert apart.all.low < shared.all.low


def test_too_few_strategies_and_scores_that_are_no_numbers_are_refused() -> None:
    two = made_up(np.arange(2.0))
    with pytest.raises(ValueError, match="needs 3 strategies"):
        agreement(two, two, rng())
    with pytest.raises(ValueError, match="finite"):
        agreement(made_up(np.arange(4.0)), made_up(np.array([1.0, 2.0, np.nan, 3.0])), rng())


def test_zero_at_an_end_is_included() -> None:
    assert Interval(0.2, 0.0, 0.4).includes_zero
    assert Interval(0.0, -0.2, 0.2).includes_zero
    assert not Interval(0.3, 0.1, 0.5).includes_zero
    assert not Interval(-0.3, -0.5, -0.1).includes_zero


def table(truth: Floats, generator: np.random.Generator, rows: float) -> tuple[Order, Order]:
    """Two orders of three seeds each, on the same test rows: what a suite of six seeds is cut into."""
    count = len(truth)
    drawn = generator.normal(0, rows, (count, 401))
    scores = truth[:, None] + drawn[:, :1] + generator.normal(0, 1, (count, 2 * SEEDS))
    noise, deviations = residuals_of(scores), drawn[:, 1:] - drawn[:, 1:].mean(1, keepdims=True)
    halves = (scores[:, :SEEDS].mean(1), scores[:, SEEDS:].mean(1))
    names = [tuple(f"{half}{seed}" for seed in range(2 * SEEDS)) for half in "ab"]
    first, second = (Order(halves[i], noise, names[i], SEEDS, deviations, "d") for i in (0, 1))
    return first, second


@pytest.mark.parametrize(
    ("spread", "rows", "count"),
    [(0.0, 0.0, 24), (0.6, 0.4, 24), (2.0, 0.4, 24), (0.6, 0.4, 8)],
    ids=["all equal", "close", "far apart", "eight"],
)
def test_the_interval_holds_what_other_seeds_and_rows_would_give(spread: float, rows: float, count: int) -> None:
    generator = np.random.default_rng(11)
    truth = generator.normal(0, spread, count)
    pairs = [table(truth, generator, rows) for _ in range(400)]
    first, second = (np.array([order.means for order in half]) for half in zip(*pairs, strict=True))
    expected = {"all": float(tau_b(first, second).mean()), "top": float(top_tau(first, second).mean())}
    found = [agreement(a, b, generator) for a, b in pairs[:120]]
    for name, truly in expected.items():
        intervals: list[Interval] = [getattr(one, name) for one in found]
        held = np.mean([interval.low <= truly <= interval.high for interval in intervals])
        assert held == pytest.approx(0.95, abs=0.055)  # Three standard errors of a fraction of 120, and a little.
    if spread == 0:
        assert np.mean([one.top.low > 0 for one in found]) <= 0.06  # Nominal: .025.


def test_the_plain_percentile_bootstrap_would_not() -> None:
    """Why the interval is what it is: noise that is added to noisy scores lowers tau a second time."""
    generator = np.random.default_rng(12)
    truth = generator.normal(0, 2.0, 40)
    seen = [truth + generator.normal(0, 1 / np.sqrt(SEEDS), (200, 40)) for _ in range(2)]
    truly, held = float(tau_b(*seen).mean()), 0
    for a, b in zip(seen[0][:60], seen[1][:60], strict=True):
        again = [one + generator.normal(0, 1 / np.sqrt(SEEDS), (100, 40)) for one in (a, b)]
        low, high = np.quantile(tau_b(*again), [0.025, 0.975])
        held += low <= truly <= high
    assert held < 45


def test_pairs_are_counted_once() -> None:
    a, b = rng().normal(size=(2, 7))
    signs = [np.sign((a[i] - a[j]) * (b[i] - b[j])) for i, j in combinations(range(7), 2)]
    assert tau_b(a, b) == pytest.approx(np.mean(signs))
