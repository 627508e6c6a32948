"""The best of n trials: what a search of n points may expect to find, as the N points that were tried say it.

    v_1 <= ... <= v_N                                          validation scores of the points
    P(best of n = v_i) = (i/N)^n - ((i-1)/N)^n                 n points drawn with replacement
    E_n = sum_i v_i P,   s_n^2 = sum_i (v_i - E_n)^2 P         expected best, and how far searches of n points spread
    U_n = sum_i v_i C(i-1, n-1) / C(N, n)                      the same without replacement

E_n is too low, the more so the nearer n is to N: a draw with replacement takes some points twice and leaves others out.
U_n has no such bias, but at n = N it is the best that was seen, with no spread at all. Both are made for points that
were drawn independently; points that lie more evenly, as those of a Sobol sequence do, find a good one a little sooner.

Source: E_n and s_n Dodge et al. 2019, arXiv:1909.03004; the bias, and U_n, Tang et al. 2020, arXiv:2004.13705.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BestOf:
    """The best of n points."""

    n: int
    expected: float
    """E_n."""
    spread: float
    """s_n, a standard deviation."""
    low: float
    """E_n - s_n, or the lowest score that was seen where that is higher."""
    high: float
    """E_n + s_n, or the highest score that was seen where that is lower."""
    unbiased: float
    """U_n."""

    def turned(self) -> BestOf:
        """The same of scores of which lower is better, where it was made of them with their signs turned."""
        return BestOf(self.n, -self.expected, self.spread, -self.high, -self.low, -self.unbiased)


def best_of(scores: Sequence[float]) -> tuple[BestOf, ...]:
    """For n from 1 to N.

    Raises:
        ValueError: there is no score, or one is not finite.
    """
    v = np.sort(np.asarray(scores, dtype=np.float64))
    if len(v) == 0 or not np.isfinite(v).all():
        raise ValueError(f"the best of trials needs finite scores, got {list(scores)}")
    return tuple(_best_of(v, n) for n in range(1, len(v) + 1))


def _best_of(v: np.ndarray[tuple[int], np.dtype[np.float64]], n: int) -> BestOf:
    count = len(v)
    chance = np.diff((np.arange(count + 1) / count) ** n)
    expected = float(v @ chance)
    spread = float(np.sqrt((v - expected) ** 2 @ chance)) if v[0] < v[-1] else 0.0
    # C(i-1, n-1) / C(N, n): n/N at i = N, and (i-n) / (i-1) times that at i for the one below.
    i = np.arange(count, n, -1)
    weights = np.concatenate([[1.0], np.cumprod((i - n) / (i - 1))]) * n / count
    unbiased = float(v[::-1][: len(weights)] @ weights)
    return BestOf(
        n, expected, spread, max(expected - spread, float(v[0])), min(expected + spread, float(v[-1])), unbiased
    )
