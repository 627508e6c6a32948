"""All pairs of a family of strategies: which differ, with one chance in twenty that any false pair is among them.

    x[k, s]  scores;  r = x - mean_k - mean_s + mean                       what is left of seed and strategy
    S_k      = sum_s r[k, s]^2
    seed_ij  = max(2 sum_k S_k / ((K-1)(n-1)),  (1 + 1 / (n-1)^2) (S_i + S_j) K / ((K-1)(n-1))) / n
    V_ij     = of seed_ij, test_ij, both_ij                                as in estimate.py
    v        = min((n-1) (sum S)^2 / sum S^2,  (K-1)(n-1))                 degrees of freedom of seed_ij
    i, j differ  iff  |d_ij| > q(.95, K, v_ij) sqrt(V_ij / 2)              Tukey, v_ij by Satterthwaite

Plain Tukey has the pooled error, 2 sum S / ((K-1)(n-1)), for every pair. That is right where all strategies have the
same luck, and nobody knows that from three or six seeds: among twelve equal strategies of which one has three times the
spread it calls a false pair in 15 of 100 tables. Box's degrees of freedom fall where spreads look unlike, and no pair
has less than its own two strategies' error, raised a little where few seeds tell it: as much as keeps every simulated
table below .06.

Where a Brown-Forsythe test of |r - median| finds that spreads differ (p < .05), every pair has the error of its own
differences and all pairs Holm's correction: the paired t test is right whatever the spreads are. Games-Howell is not
used: with own errors of few degrees of freedom it calls a false pair in 10 to 40 of 100 tables. What all this costs and
how often each errs was simulated: docs/statistics.md.

Source: Tukey 1953, "The problem of multiple comparisons"; degrees of freedom of a sum of unlike variances: Box 1954,
"Some theorems on quadratic forms applied in the study of analysis of variance problems, I", Annals of Mathematical
Statistics 25; Brown & Forsythe 1974, "Robust tests for the equality of variances", JASA 69. That the error of a pair is
the larger of two is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtrit

from fusionbench.stats.estimate import CONFIDENCE, Floats, Variances
from fusionbench.stats.holm import holm
from fusionbench.stats.paired import Paired
from fusionbench.stats.studentized import critical, survival

LEVEL = 1 - CONFIDENCE


@dataclass(frozen=True)
class Tested:
    """All pairs of a family; arrays of shape (..., K, K), first less second."""

    mean: Floats
    error: Floats
    """sqrt(V)."""
    degrees: Floats
    needed: Floats
    """How many errors a difference has to be away from 0, where it is the first that is tested."""
    differ: NDArray[np.bool_]

    @property
    def half_width(self) -> Floats:
        """Of intervals that hold the differences of all pairs at once in 95 of 100 tables."""
        return np.asarray(self.needed * self.error)


def all_pairs(scores: Floats, pairs: Paired) -> tuple[Tested, Floats]:
    """Tukey, or pairs by themselves where spreads differ; and the p of equal spreads, (...).

    Args:
        scores: (..., K, n).
        pairs: their differences.
    """
    unlike = brown_forsythe(blocked_residuals(scores))
    by_itself = is_by_itself(unlike, scores.shape[-2])[..., None, None]
    one, other = each_by_itself(pairs), tukey(scores, pairs)
    fields = ("error", "degrees", "needed", "differ")
    chosen = (np.where(by_itself, getattr(one, name), getattr(other, name)) for name in fields)
    return Tested(pairs.mean, *chosen), unlike


def is_by_itself(unlike: Floats, count: int) -> NDArray[np.bool_]:
    """Whether spreads of `count` strategies differ; two have one difference, and one spread of it."""
    return np.asarray((unlike < LEVEL) & (count > 2))


def tukey(scores: Floats, pairs: Paired) -> Tested:
    """Seed-blocked Tukey, no pair with less than its own two strategies' error.

    Args:
        scores: (..., K, n).
        pairs: their differences.
    """
    count, n = scores.shape[-2:]
    squares = (blocked_residuals(scores) ** 2).sum(-1)  # (..., K)
    every, most = squares.sum(-1)[..., None, None], (count - 1) * (n - 1)
    own = (squares[..., :, None] + squares[..., None, :]) * (count / (count - 1) / (n - 1))
    if count > 2:  # Of two strategies both are the same.
        own = own * (1 + 1 / (n - 1) ** 2)
    seed = np.maximum(2 * every / most, own) / n
    quartic = (squares**2).sum(-1)[..., None, None]
    box = np.divide((n - 1) * every**2, quartic, out=np.full_like(every, most), where=quartic > 0)
    variances = Variances(seed, pairs.variances.test, pairs.variances.both)
    degrees = variances.degrees(np.minimum(box, most), pairs.test_degrees)
    error, needed = np.sqrt(variances.total), critical(count, degrees) / np.sqrt(2)
    return Tested(pairs.mean, error, degrees, needed, np.abs(pairs.mean) > needed * error)


def tukey_p(tested: Tested) -> Floats:
    """Its p values, corrected for all pairs; 1 where two are equal."""
    apart = np.divide(np.abs(tested.mean), tested.error, out=np.zeros_like(tested.mean), where=tested.error > 0)
    return np.where(apart > 0, survival(np.sqrt(2) * apart, tested.mean.shape[-1], tested.degrees), 1.0)


def each_by_itself(pairs: Paired) -> Tested:
    """The paired t test of every pair with its own error, Holm's correction over all of them."""
    p = holm_p(pairs)
    count = pairs.mean.shape[-1]
    needed = stdtrit(pairs.degrees, 1 - LEVEL / (count * (count - 1)))
    return Tested(pairs.mean, pairs.error, pairs.degrees, needed, p < LEVEL)


def holm_p(pairs: Paired) -> Floats:
    """Its p values, corrected for all pairs; 1 of a strategy with itself."""
    count = pairs.mean.shape[-1]
    i, j = np.triu_indices(count, 1)
    corrected = np.ones_like(pairs.mean)
    corrected[..., i, j] = corrected[..., j, i] = holm(pairs.p[..., i, j])
    return corrected


def blocked_residuals(scores: Floats) -> Floats:
    """What is left of (..., K, n) scores without the means of strategies and of seeds."""
    return np.asarray(
        scores - scores.mean(-1, keepdims=True) - scores.mean(-2, keepdims=True) + scores.mean((-2, -1), keepdims=True)
    )


def brown_forsythe(residuals: Floats) -> Floats:
    """The p value of equal spreads of K groups, (..., K, n) -> (...): distances from the median.

    An analysis of variance of them; 1 where none differs from its group's mean. What scipy.stats.levene says, of many
    tables at once.
    """
    count, n = residuals.shape[-2:]
    away = np.abs(residuals - np.median(residuals, -1, keepdims=True))
    means = away.mean(-1)
    between = n * ((means - means.mean(-1, keepdims=True)) ** 2).sum(-1) / (count - 1)
    within = ((away - means[..., None]) ** 2).sum((-2, -1)) / (count * (n - 1))
    ratio = np.divide(between, within, out=np.zeros_like(between), where=within > 0)
    return np.asarray(fdtrc(count - 1, count * (n - 1), ratio))
