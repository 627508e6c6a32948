"""Does an order of strategies hold? Kendall's tau-b between two orders, with an interval for seeds and test rows.

    tau = (concordant - discordant) / sqrt(pairs untied in the first * pairs untied in the second)
    top = the same among the twenty best, the mean of two: those of the first order, and those of the second

Twenty chosen by the sum of both orders would be a trap: given the sum, what is luck in one is lack of it in the other,
and twenty equal strategies of sixty come out at -.4. Chosen by one order alone, equal strategies have tau 0.

What is estimated is the tau that such a pair of orders has on average, with other seeds and other test rows of as many.
Noise lowers it, so adding noise to the scores that were seen (the plain bootstrap) lowers it twice: of 59 strategies
far apart, at tau .7, its percentile interval held the truth in .07 of simulated tables. So replicates start from scores
that are drawn together until new noise restores the spread that was seen; benchmarks/order_intervals.py simulates how
often the interval holds (of ten strategies .93 to .97, whatever the truth).

    X   (K, 2) mean scores of K strategies in both orders; S its covariance over strategies
    N   (2, 2) that of the noise, mean over strategies; T = S - N, negative eigenvalues at 0
    X~  = mean + (X - mean) W,   W = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2, so that cov(X~) = T
    X*  = X~ + seeds + rows      a replicate; tau* is its tau
    tanh(artanh tau +- 1.96 sd(artanh tau*))

Seeds: of each strategy by itself sum_s g_s r_s / sqrt((m - 1) n), r_s its deviation at seed s from its mean and from
what all share at that seed (which moves no order), g standard normal; g is the same in both orders where a seed is.
Rows: of all strategies together the deviations of their scores on one resampling of the test rows, the same resampling
in both orders where the test rows are.

The wide interval asks of other strategies of the kind, too: every replicate draws K of them with replacement.

Source: Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33; shrinking to the right spread: Louis
1984, "Estimating a population of parameter values using Bayes and empirical Bayes methods", JASA 79.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOP = 20
REPLICATES = 400
"""The standard deviation has a relative error of 1/sqrt(2 * 400) = 3.5 % then."""
Z = 1.959963984540054
"""The .975 quantile of the normal distribution."""
FEWEST = 3
"""Strategies: of two, tau is 1 or -1."""
AT_ONCE = 2**21
"""Pairs in memory at a time."""


@dataclass(frozen=True)
class Order:
    """Scores of K strategies, higher is better, and what is known of their noise."""

    means: Floats
    """(K,)"""
    residuals: Floats
    """(K, m): deviations at m seeds, as `residuals_of` gives them; m = 1 where nothing is known of seeds."""
    seeds: tuple[str, ...]
    """m names: a name that the other order has too is the same model seen twice."""
    n: int
    """How many seeds a mean is of: m, or fewer where the residuals are of more seeds."""
    rows: Floats | None = None
    """(K, R): deviations on R resamplings of the test rows, of the mean over seeds; None: nothing is known."""
    draw: str = ""
    """Orders of one draw have the same test rows: they share a resampling."""


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether 0 is inside or at its end."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Agreement:
    """How far two orders agree."""

    strategies: int
    all: Interval
    top: Interval
    """Among the twenty best; of at most twenty strategies the same as `all`."""
    all_wide: Interval
    """`all` with the interval that asks of other strategies, too."""
    top_wide: Interval


def residuals_of(scores: Floats) -> Floats:
    """Deviations of (K, n) scores from their strategy's mean and from what all strategies share at a seed.

    Their squares sum to (n - 1) variances on average, as those of a strategy by itself do.
    """
    found = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True) + scores.mean()
    count = len(scores)
    return found * math.sqrt(count / (count - 1)) if count > 1 else found


def tau_b(a: Floats, b: Floats) -> Floats:
    """Kendall's tau-b of the last axis, (..., K) and (..., K) to (...); 0 where one order ties all."""
    first, second = _higher(a), _higher(b)
    concordant, of_first, of_second = _count(first & second), _count(first), _count(second)
    discordant = of_first - concordant
    if (of_second < a.shape[-1] * (a.shape[-1] - 1) // 2).any():  # Pairs that the second order ties are neither.
        discordant = _count(first & _higher(-b))
    return np.asarray((concordant - discordant) / np.sqrt(np.maximum(of_first * of_second, 1)))


def _higher(x: Floats) -> NDArray[np.uint8]:
    """Which of every ordered pair are higher first, a bit each, (..., K) to (..., K * K / 8)."""
    pairs = x[..., :, None] > x[..., None, :]
    return np.packbits(pairs.reshape(*x.shape[:-1], -1), axis=-1)


def _count(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(bits).sum(-1, dtype=np.int64))


def top_tau(a: Floats, b: Floats, top: int = TOP) -> Floats:
    """Mean of tau-b among the `top` best of the first order and among those of the second; shapes as `tau_b`."""
    if a.shape[-1] <= top:
        return tau_b(a, b)
    chosen = [np.argsort(-order, axis=-1, kind="stable")[..., :top] for order in (a, b)]
    found = [tau_b(np.take_along_axis(a, best, -1), np.take_along_axis(b, best, -1)) for best in chosen]
    return np.asarray((found[0] + found[1]) / 2)


def agreement(a: Order, b: Order, rng: np.random.Generator) -> Agreement:
    """How far two orders of the same K strategies agree.

    Raises:
        ValueError: fewer than three strategies, not the same number in both, or a score that is not finite.
    """
    if len(a.means) < FEWEST or a.means.shape != b.means.shape:
        raise ValueError(f"an order needs {FEWEST} strategies, the same in both, got {len(a.means)} and {len(b.means)}")
    seen = np.stack([a.means, b.means], 1)  # (K, 2)
    if not np.isfinite(seen).all():
        raise ValueError("an order needs finite scores")
    start, roots = _drawn_together(seen, _noise_covariance(a, b)), _seed_roots(a, b)
    found: dict[bool, list[Floats]] = {False: [], True: []}
    at_once = max(1, AT_ONCE // len(seen) ** 2)
    for first in range(0, REPLICATES, at_once):
        count = min(at_once, REPLICATES - first)
        for wide, taus in found.items():
            taus.append(np.stack(_replicated(start, roots, a, b, count, rng, wide=wide)))
    (narrow, narrow_top), (wide, wide_top) = (np.concatenate(found[key], 1) for key in (False, True))
    every, best = float(tau_b(*seen.T)), float(top_tau(*seen.T))
    step, top_step = _step(len(seen)), _step(min(len(seen), TOP))
    return Agreement(
        len(seen),
        _interval(every, narrow, step),
        _interval(best, narrow_top, top_step),
        _interval(every, wide, step),
        _interval(best, wide_top, top_step),
    )


def _replicated(
    start: Floats, roots: Floats, a: Order, b: Order, count: int, rng: np.random.Generator, *, wide: bool
) -> list[Floats]:
    """`count` replicates' tau and top tau."""
    strategies = len(start)
    g = rng.standard_normal((2, count, strategies))
    drawn = {order.draw: rng.random(count) for order in (a, b)}
    chosen = rng.integers(strategies, size=(count, strategies)) if wide else np.arange(strategies)[None]
    found = []
    for at, order in enumerate((a, b)):
        scores = start[chosen, at] + roots[chosen, at, 0] * g[0] + roots[chosen, at, 1] * g[1]
        if order.rows is not None:
            which = (drawn[order.draw] * order.rows.shape[1]).astype(np.int64)  # (count,)
            scores = scores + order.rows[chosen, which[:, None]]
        found.append(scores)
    return [tau_b(*found), top_tau(*found)]


def _seed_roots(a: Order, b: Order) -> Floats:
    """(K, 2, 2): by strategy, the Cholesky root of what its seeds add to the covariance of its two means.

    The sum over seeds of g_s r_s is normal, so two numbers a strategy draw it for both orders, however many seeds.
    """
    found = np.zeros((len(a.means), 2, 2))
    found[:, 0, 0] = np.sqrt(_seed_products(a, a))
    own, shared = _seed_products(b, b), _seed_products(a, b)
    found[:, 1, 0] = np.divide(shared, found[:, 0, 0], out=np.zeros_like(shared), where=found[:, 0, 0] > 0)
    found[:, 1, 1] = np.sqrt(np.maximum(own - found[:, 1, 0] ** 2, 0.0))
    return found


def _seed_products(one: Order, other: Order) -> Floats:
    """(K,): by strategy, the covariance of its two means for the seeds that both have; 0 where nothing is known."""
    found = np.zeros(len(one.means))
    if one.residuals.shape[1] > 1 and other.residuals.shape[1] > 1:
        scale = (len(one.seeds) - 1) * one.n * (len(other.seeds) - 1) * other.n
        for name in (name for name in one.seeds if name in other.seeds):
            s, t = one.seeds.index(name), other.seeds.index(name)
            found += one.residuals[:, s] * other.residuals[:, t] / math.sqrt(scale)
    return found


def _noise_covariance(a: Order, b: Order) -> Floats:
    """(2, 2), of both orders' means, averaged over strategies; without what all strategies share."""
    found = np.zeros((2, 2))
    orders = (a, b)
    for i, j in ((0, 0), (1, 1), (0, 1)):
        one, other = orders[i], orders[j]
        found[i, j] = _seed_products(one, other).mean()
        if one.rows is not None and other.rows is not None and one.draw == other.draw:
            found[i, j] += float((_centred(one.rows) * _centred(other.rows)).mean())
    found[1, 0] = found[0, 1]
    return found


def _drawn_together(seen: Floats, noise: Floats) -> Floats:
    """The (K, 2) scores, drawn towards their mean until their covariance is what is left without the noise."""
    mean = seen.mean(0)
    spread = np.cov(seen.T)
    root = _root(spread)
    inverse = np.linalg.pinv(root, hermitian=True)
    left = _root(spread - noise) @ _root(spread - noise)
    return np.asarray(mean + (seen - mean) @ inverse @ _root(root @ left @ root) @ inverse)


def _root(matrix: Floats) -> Floats:
    """The symmetric root of a symmetric matrix, negative eigenvalues taken as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _centred(rows: Floats) -> Floats:
    return rows - rows.mean(0, keepdims=True)


def _step(strategies: int) -> float:
    """Half of what one pair makes: artanh has no value at 1, and no tau is known more finely."""
    return 2.0 / (strategies * (strategies - 1))


def _interval(tau: float, replicates: Floats, step: float) -> Interval:
    inside = np.arctanh(np.clip(replicates, step - 1, 1 - step))
    middle, half = math.atanh(min(max(tau, step - 1), 1 - step)), Z * float(inside.std(ddof=1))
    return Interval(tau, min(tau, math.tanh(middle - half)), max(tau, math.tanh(middle + half)))
