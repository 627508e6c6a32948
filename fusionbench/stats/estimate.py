"""One interval for both sources of error: seeds, and the choice of the test rows.

    mean +- t(.975, v) * sqrt(V)
    V     = max(s_seed^2 / n,  s_test^2,  s_seed^2 / n + s_test^2 - both)
    both  = (s_one^2 - s_test^2) / (n - 1)
    v     = (V + (c - 1) s_seed^2 / n)^2 / ((c s_seed^2 / n)^2 / (n - 1) + s_test^4 / (m - 1))
    c     = 1 + 3 / (n - 1)

s_seed is the standard deviation over n seeds, s_test that of the mean over seeds on resampled test rows, s_one^2 the
mean over seeds of one seed's variance on them, m the smaller of how many resamples and how many units (rows, films)
there are. Of a difference between two strategies all are of paired differences: at equal seeds, on equal rows. Asking
that two separate intervals both exclude 0 errs more often.

What a row answers at one seed and not at another is in both errors: it moves the scores of seeds, and it moves those of
rows. Were the two added, it would count twice, and intervals would hold .98 to .99 of truths; `both` is its part, as in
the variance of a mean over two crossed random factors. V is never smaller than either error alone: of few seeds that
happen to agree, the difference of estimates would be too small.

v is Satterthwaite's, with the seeds' error counted c times. With c = 1 an interval over three seeds holds .92 where
seeds are most of the error, since the few seeds that show too little spread also show too large a share of rows. What
was simulated of all this stands in docs/statistics.md.

Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2;
crossed factors: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1; c is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scored:
    """A model's score and what it is on resampled test rows."""

    score: float
    resamples: Sequence[float] | Floats = ()
    """Empty: not known."""
    draw: str = ""
    """Scores of one draw pair off, resample by resample."""
    units: int = 0
    """How many rows or clusters are drawn."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval."""

    mean: float
    half_width: float | None
    """Of the 95 % interval; None at one seed, where there is none."""
    n: int
    """Seeds."""
    seed_error: float | None = None
    """s_seed / sqrt(n), a standard error; None at one seed."""
    test_error: float | None = None
    """s_test, a standard error; None where resamples are not known: the interval is of seeds alone then."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The interval's upper end."""
        return None if self.half_width is None else self.mean + self.half_width


@dataclass(frozen=True)
class Variances:
    """What a mean over seeds varies by, squared; numbers, or arrays of one shape."""

    seed: Floats
    """s_seed^2 / n."""
    test: Floats
    """s_test^2; 0 where it is not known."""
    both: Floats
    """What is in both of them."""

    @property
    def total(self) -> Floats:
        """V."""
        apart = self.seed + self.test - self.both
        return np.asarray(np.maximum(np.maximum(self.seed, self.test), apart))

    def degrees(self, seed_degrees: ArrayLike, test_degrees: float) -> Floats:
        """v, at least 1.

        Args:
            seed_degrees: of the seeds' variance: n - 1, or more where strategies share it.
            test_degrees: of the rows' variance, m - 1.
        """
        given = np.asarray(seed_degrees, dtype=np.float64)
        weight = 1 + 3 / given
        seed = weight * self.seed
        parts = seed**2 / given + self.test**2 / test_degrees
        total = (self.total + seed - self.seed) ** 2
        # Without any error there is nothing to divide; whoever asks sees that from the total.
        return np.asarray(np.maximum(np.divide(total, parts, out=np.ones_like(total), where=parts > 0), 1.0))


def estimate(by_seed: Mapping[int, Scored]) -> Estimate:
    """The mean of a strategy's scores over seeds.

    Raises:
        ValueError: there is no seed, or a score is not finite.
    """
    found = [by_seed[seed] for seed in sorted(by_seed)]
    if not found:
        raise ValueError("a mean needs at least one seed")
    return _combined(np.array([one.score for one in found]), rows_of(found), min(one.units for one in found))


def difference(a: Mapping[int, Scored], b: Mapping[int, Scored]) -> Estimate:
    """The mean of a - b over the seeds that both have, paired by seed and by test row.

    Raises:
        ValueError: they share no seed, or a score is not finite.
    """
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        raise ValueError("a difference needs a seed that both have")
    first, second = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    ours, theirs = rows_of(first), rows_of(second)
    rows = ours - theirs if ours is not None and theirs is not None and first[0].draw == second[0].draw else None
    scores = np.array([one.score - other.score for one, other in zip(first, second, strict=True)])
    return _combined(scores, rows, min(one.units for one in (*first, *second)))


def rows_of(found: Sequence[Scored]) -> Floats | None:
    """(n, R), the scores on each resample; None where they are not known or not of one draw."""
    if any(len(one.resamples) < 2 for one in found) or len({(one.draw, len(one.resamples)) for one in found}) > 1:
        return None
    return np.array([one.resamples for one in found], dtype=np.float64)


def row_degrees(resamples: int, units: int) -> float:
    """Degrees of freedom of the rows' variance: m - 1, at least 1."""
    return float(max(2, min(resamples, units)) - 1)


def half_width(variances: Variances, n: int, rows: float) -> Floats:
    """Of the 95 % interval over n seeds, and rows of so many degrees of freedom."""
    degrees = variances.degrees(n - 1, rows)
    return np.asarray(stdtrit(degrees, (1 + CONFIDENCE) / 2) * np.sqrt(variances.total))


def _combined(scores: Floats, rows: Floats | None, units: int) -> Estimate:
    found = scores.tolist()
    if not all(map(math.isfinite, found)):
        raise ValueError(f"a mean needs finite scores, got {found}")
    n, mean = len(found), found[0] if min(found) == max(found) else float(scores.mean())
    test = 0.0 if rows is None else _variance(rows.mean(0))
    known = None if rows is None else math.sqrt(test)
    if n == 1:
        return Estimate(mean, None, 1, None, known)
    seed = _variance(scores) / n
    if rows is None:  # The formula without its other parts, since most scores of a report have none.
        return Estimate(mean, _critical(n - 1) * math.sqrt(seed), n, math.sqrt(seed))
    equal = rows.min(1) == rows.max(1)
    both = max(0.0, float(np.where(equal, 0.0, rows.var(1, ddof=1)).mean()) - test) / (n - 1)
    variances = Variances(np.array(seed), np.array(test), np.array(both))
    wide = float(half_width(variances, n, row_degrees(rows.shape[1], units)))
    return Estimate(mean, wide, n, math.sqrt(seed), known)


def _variance(values: Floats) -> float:
    """Of equal values exactly 0, where the rounding of their mean would leave 1e-34."""
    return 0.0 if values.min() == values.max() else float(values.var(ddof=1))


@lru_cache(maxsize=256)
def _critical(degrees: int) -> float:
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
