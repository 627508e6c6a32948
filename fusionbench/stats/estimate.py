"""One interval for both sources of error: seeds, and the choice of the test rows.

    mean +- t(.975, v) * sqrt(s_seed^2 / n + s_test^2)
    v = (s_seed^2 / n + s_test^2)^2 / ((s_seed^2 / n)^2 / (n - 1) + s_test^4 / (m - 1))      Satterthwaite

s_seed is the standard deviation over n seeds, s_test that of the mean over seeds on resampled test rows, m the smaller
of how many resamples and how many units (rows, films) there are. Of a difference between two strategies both are of
paired differences: at equal seeds, on equal rows. Asking that two separate intervals both exclude 0 errs more often.

Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fusionbench.stats.summary import CONFIDENCE


@dataclass(frozen=True)
class Scored:
    """A model's score and what it is on resampled test rows."""

    score: float
    resamples: Sequence[float] = ()
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
    seed_error: float | None
    """s_seed / sqrt(n), a standard error; None at one seed."""
    test_error: float | None
    """s_test, a standard error; None where resamples are not known: the interval is of seeds alone then."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return None if self.half_width is None else self.mean - self.half_width


def estimate(by_seed: Mapping[int, Scored]) -> Estimate:
    """The mean of a strategy's scores over seeds.

    Raises:
        ValueError: there is no seed.
    """
    found = [by_seed[seed] for seed in sorted(by_seed)]
    if not found:
        raise ValueError("a mean needs at least one seed")
    rows = _mean_rows(found)
    return _combined(np.array([one.score for one in found]), rows, min((one.units for one in found), default=0))


def difference(a: Mapping[int, Scored], b: Mapping[int, Scored]) -> Estimate:
    """The mean of a - b over the seeds that both have, paired by seed and by test row.

    Raises:
        ValueError: they share no seed.
    """
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        raise ValueError("a difference needs a seed that both have")
    first, second = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    rows = None
    if len({one.draw for one in (*first, *second)}) == 1:
        ours, theirs = _mean_rows(first), _mean_rows(second)
        rows = ours - theirs if ours is not None and theirs is not None else None
    scores = np.array([one.score - other.score for one, other in zip(first, second, strict=True)])
    return _combined(scores, rows, min(one.units for one in (*first, *second)))


def _mean_rows(found: Sequence[Scored]) -> NDArray[np.float64] | None:
    """(R,), the mean over seeds on each resample; None where they are not known or not of one draw."""
    if not all(len(one.resamples) > 1 for one in found) or len({one.draw for one in found}) > 1:
        return None
    return np.asarray(np.mean([one.resamples for one in found], axis=0))


def _combined(scores: NDArray[np.float64], rows: NDArray[np.float64] | None, units: int) -> Estimate:
    n, mean = len(scores), float(scores[0] if scores.min() == scores.max() else scores.mean())
    test = None if rows is None else _deviation(rows)
    if n == 1:
        return Estimate(mean, None, 1, None, test)
    seed = _deviation(scores) / math.sqrt(n)
    total = seed**2 + (test or 0.0) ** 2
    if total == 0:
        return Estimate(mean, 0.0, n, seed, test)
    parts = seed**4 / (n - 1)
    if test and rows is not None:
        parts += test**4 / (max(2, min(len(rows), units)) - 1)
    half = float(stdtrit(total**2 / parts, (1 + CONFIDENCE) / 2)) * math.sqrt(total)
    return Estimate(mean, half, n, seed, test)


def _deviation(values: NDArray[np.float64]) -> float:
    """The standard deviation; of equal values exactly 0, where the rounding of their mean would leave 1e-17."""
    return 0.0 if values.min() == values.max() else float(values.std(ddof=1))
