"""Several seeds in one number: mean, interval, and how small a difference the table could have shown.

    mean +- t(.975, n-1) * s / sqrt(n)     the 95 % t interval over n seeds

A t interval, since at 3 to 5 seeds +-1.96 standard errors and the percentile bootstrap cover too little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, stdtrit

CONFIDENCE = 0.95
POWER = 0.80
EXPLORATORY_BELOW = 6
"""The smallest number of paired seeds at which an exact sign test can reach .05."""
CONFIRMATORY_FROM = 10


@dataclass(frozen=True)
class Summary:
    """A score over seeds."""

    mean: float
    half_width: float | None
    """Of the 95 % t interval; None at one seed, where there is none."""
    n: int
    """How many seeds."""


def mean_interval(values: Sequence[float]) -> Summary:
    """Mean and half-width of the 95 % t interval.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    n = len(found)
    if n == 0 or not np.isfinite(found).all():
        raise ValueError(f"a mean needs finite values, got {list(values)}")
    if found.min() == found.max():
        # Exactly zero: the rounding of the mean would leave a spread of 1e-17.
        return Summary(float(found[0]), None if n == 1 else 0.0, n)
    return Summary(float(found.mean()), _critical(n - 1) * float(found.std(ddof=1)) / math.sqrt(n), n)


def standing(n: int) -> str:
    """What n seeds may claim: "exploratory" below 6, "confirmatory" from 10 on, empty between."""
    return "exploratory" if n < EXPLORATORY_BELOW else "confirmatory" if n >= CONFIRMATORY_FROM else ""


def smallest_difference(scores: Sequence[Sequence[float]]) -> float | None:
    """The smallest true difference between two strategies that seeds would show with 80 % power.

        r = x[k,s] - mean of strategy k - mean of seed s + grand mean
        s2 = sum r^2 / v,  v = (K-1)(n-1)     variance of a score, seeds' common part removed (seed-blocked)
        d = nc * sqrt(2 s2 / n)               nc: P(T > t(.975, v)) = .8, T noncentral t with v degrees of freedom

    One two-sided paired comparison at level .05, not corrected for how many are made; the variation of seeds only (the
    test rows are fixed). The other tail adds less than 1e-6 to the power and is left out.

    Args:
        scores: (K, n), K strategies at the same n seeds.

    Returns:
        d in the unit of the scores; None below two strategies or two seeds, or where seeds make no difference.
    """
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 2 or min(x.shape) < 2:
        return None
    strategies, n = x.shape
    residual = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
    v = (strategies - 1) * (n - 1)
    variance = float((residual**2).sum()) / v
    if variance < 1e-24:  # Scores are at most about 1: this is rounding.
        return None
    noncentrality = float(nctdtrinc(v, 1 - POWER, _critical(v)))
    return noncentrality * math.sqrt(2 * variance / n)


def _critical(degrees: int) -> float:
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
