"""All paired differences of K strategies at once: means, and what each varies by.

    d_ij = mean over seeds of x_i - x_j                       at equal seeds
    seed, test, both                                          as in estimate.py, of the differences

The rows' part comes from two covariances over resamples, of means over seeds and of single seeds, (K, K) each: the
variance of a difference is C_ii + C_jj - 2 C_ij. So sixty strategies are one product of matrices, not 1,770 loops.
Leading axes are tables of their own: simulations have thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from fusionbench.stats.estimate import Estimate, Floats, Scored, Variances, half_width, row_degrees, rows_of

ROUNDING = 1e-12
"""Of two variances that are subtracted: less than this part of them is 0."""


@dataclass(frozen=True)
class Paired:
    """Differences of all pairs, first less second; arrays of shape (..., K, K)."""

    mean: Floats
    variances: Variances
    n: int
    """Seeds."""
    test_degrees: float

    @property
    def error(self) -> Floats:
        """sqrt(V)."""
        return np.asarray(np.sqrt(self.variances.total))

    @property
    def degrees(self) -> Floats:
        """Of freedom, of each pair by itself."""
        return self.variances.degrees(self.n - 1, self.test_degrees)

    @property
    def p(self) -> Floats:
        """Of the two-sided paired t test for both sources of error, of each pair by itself; 1 without any error."""
        error = self.error
        t = np.divide(np.abs(self.mean), error, out=np.zeros_like(error), where=error > 0)
        return np.asarray(2 * stdtr(self.degrees, -t))

    @property
    def half_width(self) -> Floats:
        """Of the 95 % interval of each difference by itself."""
        return half_width(self.variances, self.n, self.test_degrees)


@dataclass(frozen=True)
class Matrix:
    """The same of one table, whose strategies need not all have the same seeds."""

    names: tuple[str, ...]
    mean: Floats
    """(K, K), first less second; NaN where two share no seed."""
    half_width: Floats
    """Of the 95 % interval of each difference by itself; NaN below two shared seeds."""
    p: Floats
    """Of the paired t test, of each pair by itself; NaN below two shared seeds."""
    error: Floats
    """sqrt(V); NaN below two shared seeds."""
    degrees: Floats
    """NaN below two shared seeds."""
    seed_error: Floats
    """NaN below two shared seeds."""
    test_error: Floats
    """NaN where resamples are not known."""
    n: NDArray[np.int64]
    """How many seeds two share."""

    def estimate(self, a: str, b: str) -> Estimate:
        """The first less the second."""
        i, j = self.names.index(a), self.names.index(b)
        half, seed, test = (
            None if np.isnan(found[i, j]) else float(found[i, j])
            for found in (self.half_width, self.seed_error, self.test_error)
        )
        return Estimate(float(self.mean[i, j]), half, int(self.n[i, j]), seed, test)

    def of(self, names: Sequence[str]) -> Matrix:
        """Those of some strategies, in that order."""
        places = [self.names.index(name) for name in names]
        parts = (getattr(self, one.name)[np.ix_(places, places)] for one in fields(self) if one.name != "names")
        return Matrix(tuple(names), *parts)


def paired(scores: Floats, rows: Floats | None = None, units: int = 0) -> Paired:
    """All differences of strategies that have the same seeds.

    Args:
        scores: (..., K, n), n from 2 on.
        rows: (..., K, n, R), the scores on R resamples of the test rows; None: not known.
        units: how many test rows, or groups of them, are drawn.
    """
    n = scores.shape[-1]
    means = scores.mean(-1)
    apart = scores[..., :, None, :] - scores[..., None, :, :]  # (..., K, n) -> (..., K, K, n)
    seed = _cleaned(apart.var(-1, ddof=1), scores.var(-1, ddof=1)) / n
    if rows is None:
        nothing = np.zeros_like(seed)
        return Paired(means[..., :, None] - means[..., None, :], Variances(seed, nothing, nothing), n, 1.0)
    test, one = row_variances(rows)
    both = np.maximum(one - test, 0) / (n - 1)
    degrees = row_degrees(rows.shape[-1], units)
    return Paired(means[..., :, None] - means[..., None, :], Variances(seed, test, both), n, degrees)


def row_variances(rows: Floats) -> tuple[Floats, Floats]:
    """Of all differences, (..., K, n, R) -> (..., K, K) twice: of means over seeds, and of one seed on average."""
    n, resamples = rows.shape[-2:]
    centred = rows - rows.mean(-1, keepdims=True)
    means = centred.mean(-2)  # (..., K, n, R) -> (..., K, R)
    flat = centred.reshape(*centred.shape[:-2], n * resamples)
    found = (of @ of.swapaxes(-1, -2) / (count * (resamples - 1)) for of, count in ((means, 1), (flat, n)))
    test, one = (_of_pairs(covariance) for covariance in found)
    return test, one


def matrix(rows: Mapping[str, Mapping[int, Scored]]) -> Matrix:
    """All differences of a table's strategies, each over the seeds that the two share.

    Args:
        rows: by strategy and seed.
    """
    names = tuple(rows)
    shape = (len(names), len(names))
    unknown = (np.full(shape, np.nan) for _ in range(7))
    mean, half, p, error, degrees, seed_error, test_error = unknown
    nothing = np.zeros(shape, dtype=np.int64)
    found = Matrix(names, mean, half, p, error, degrees, seed_error, test_error, nothing)
    kinds: dict[tuple[tuple[int, ...], str], list[int]] = {}
    for index, by_seed in enumerate(rows.values()):
        kinds.setdefault((tuple(sorted(by_seed)), _draw(tuple(by_seed.values()))), []).append(index)
    for (first, ours), (second, theirs) in product(kinds.items(), repeat=2):
        seeds = tuple(seed for seed in first[0] if seed in second[0])
        if seeds:
            every = list(dict.fromkeys((*ours, *theirs)))
            known = first[1] == second[1] != ""
            _fill(found, [rows[names[index]] for index in every], every, seeds, known, (ours, theirs))
    return found


def _fill(
    into: Matrix,
    rows: Sequence[Mapping[int, Scored]],
    every: Sequence[int],
    seeds: Sequence[int],
    known: bool,
    wanted: tuple[list[int], list[int]],
) -> None:
    """Differences of strategies that all have these seeds, into those places of the table that are wanted."""
    scored = [[by_seed[seed] for seed in seeds] for by_seed in rows]
    scores = np.array([[one.score for one in row] for row in scored])
    drawn = np.array([rows_of(row) for row in scored]) if known else None
    from_, to = np.ix_(*([every.index(index) for index in side] for side in wanted)), np.ix_(*wanted)
    into.n[to] = len(seeds)
    if len(seeds) == 1:
        means = scores[:, 0]
        into.mean[to] = (means[:, None] - means[None, :])[from_]
        if drawn is not None:
            into.test_error[to] = np.sqrt(row_variances(drawn)[0])[from_]
        return
    pairs = paired(scores, drawn, min(one.units for row in scored for one in row))
    into.mean[to], into.half_width[to], into.p[to] = pairs.mean[from_], pairs.half_width[from_], pairs.p[from_]
    into.error[to], into.degrees[to] = pairs.error[from_], pairs.degrees[from_]
    into.seed_error[to] = np.sqrt(pairs.variances.seed)[from_]
    if known:
        into.test_error[to] = np.sqrt(pairs.variances.test)[from_]


def _draw(found: Sequence[Scored]) -> str:
    """Of the test rows' resamples; empty unless all have them, of one draw."""
    return found[0].draw if found and rows_known(found) else ""


def rows_known(found: Sequence[Scored]) -> bool:
    """Whether all have resamples, of one draw."""
    return all(len(one.resamples) > 1 for one in found) and len({(one.draw, len(one.resamples)) for one in found}) == 1


def _of_pairs(covariance: Floats) -> Floats:
    own = np.diagonal(covariance, axis1=-2, axis2=-1)
    return _cleaned(own[..., :, None] + own[..., None, :] - 2 * covariance, own)


def _cleaned(variance: Floats, own: Floats) -> Floats:
    """Exactly 0 where only rounding is left of two variances: of a strategy with itself, or with its equal."""
    least = ROUNDING * (own[..., :, None] + own[..., None, :])
    return np.asarray(np.where(variance > least, variance, 0.0))
