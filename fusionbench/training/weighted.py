"""Scores of rows that are counted several times or not at all: of many resamples at once, without repeating a row.

Each takes w (R, N), how often row i is in resample r, and gives the score of each resample, (R,):

    mean              sum_i w v_i / sum_i w          accuracy, Hit@1, NLL, PERR; MAE
    balanced accuracy, macro-F1                      of classes' sums of w, over the classes that a resample has
    AUROC             mean over c of P(p_c higher)   pairs count w_i w_j times, over classes that it has, not alone
    RMSE, R2, r       of sums of w, w y, w y^2, ...; rho of ranks within the resample, equal values with their mean rank

Where a resample has nothing to explain (one value, one class alone) R2, r, rho are 0, and AUROC is 1/2. Tests hold each
to the score of the repeated rows by scikit-learn or scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]
"""How often each row (columns) is in each of some resamples."""
Floats = NDArray[np.float64]
Scorer = Callable[[Counts], Floats]
TINY = 1e-12
"""Of the whole: a spread below it is rounding."""


def mean_of(values: NDArray[Any]) -> Scorer:
    """The mean of (N,) values; rows of NaN have none and do not count."""
    known = ~np.isnan(values.astype(np.float64))
    found = np.where(known, values, 0).astype(np.float64)
    return lambda counts: np.asarray(counts @ found / np.maximum(counts @ known.astype(np.float64), 1))


def of_classes(logits: NDArray[Any], targets: NDArray[np.int64]) -> Mapping[str, Scorer]:
    """What ranks on a multiclass task, by name: logits (N, C), targets (N,)."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    guessed = logits.argmax(1)
    true, said = (np.eye(logits.shape[1])[which] for which in (targets, guessed))  # (N, C)
    right = (guessed == targets).astype(np.float64)

    def balanced_accuracy(counts: Counts) -> Floats:
        return _over_known(counts @ (true * right[:, None]), counts @ true)

    def macro_f1(counts: Counts) -> Floats:
        return _over_known(2 * counts @ (true * right[:, None]), counts @ true + counts @ said)

    def auroc(counts: Counts) -> Floats:
        return _mean_area(counts, log_p, true)

    return {
        "accuracy": mean_of(right),
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "auroc": auroc,
        "nll": mean_of(-log_p[np.arange(len(targets)), targets]),
    }


def of_numbers(predicted: NDArray[Any], targets: NDArray[Any]) -> Mapping[str, Scorer]:
    """What ranks on a regression, by name: (N, C) both; means over the C numbers."""
    middle = targets.mean(0)  # A large mean would cost digits.
    x, y = (values.astype(np.float64) - middle for values in (predicted, targets))
    error = y - x

    def rmse(counts: Counts) -> Floats:
        return np.asarray(np.sqrt(counts @ error**2 / counts.sum(1, keepdims=True)).mean(1))

    def r2(counts: Counts) -> Floats:
        spread = counts @ y**2 - (counts @ y) ** 2 / counts.sum(1, keepdims=True)
        explained = 1 - np.divide(counts @ error**2, spread, out=np.ones_like(spread), where=spread > TINY * y.var(0))
        return np.asarray(explained.mean(1))

    def pearson(counts: Counts) -> Floats:
        found = [_correlation(counts, x[:, c][None], y[:, c][None]) for c in range(y.shape[1])]
        return np.asarray(np.mean(found, axis=0))

    def spearman(counts: Counts) -> Floats:
        pairs = ((_ranks(counts, x[:, c]), _ranks(counts, y[:, c])) for c in range(y.shape[1]))
        return np.asarray(np.mean([_correlation(counts, *pair) for pair in pairs], axis=0))

    mae = mean_of(np.abs(error).mean(1))
    return {"r2": r2, "rmse": rmse, "mae": mae, "pearson": pearson, "spearman": spearman}


def _over_known(part: Floats, whole: Floats) -> Floats:
    """The mean over classes of part / whole, of those that have a whole: (R, C) both -> (R,)."""
    share = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return np.asarray(share.sum(1) / np.maximum((whole > 0).sum(1), 1))


def _mean_area(counts: Counts, scores: Floats, true: Floats) -> Floats:
    """The mean area under the ROC curves of classes: counts (R, N), scores and zeros and ones (N, C) -> (R,)."""
    total, known = np.zeros(len(counts)), np.zeros(len(counts))
    for score, own in zip(scores.T, true.T, strict=True):
        order, starts = _groups(score)
        weights = counts[:, order].astype(np.float64)
        yes = np.add.reduceat(weights * own[order], starts, axis=1)  # (R, groups of equal scores), lowest first
        no = np.add.reduceat(weights * (1 - own[order]), starts, axis=1)
        won = (yes * (no.cumsum(1) - no / 2)).sum(1)
        pairs = yes.sum(1) * no.sum(1)
        total += np.divide(won, pairs, out=np.zeros_like(won), where=pairs > 0)
        known += pairs > 0
    return np.where(known > 0, total / np.maximum(known, 1), 0.5)


def _ranks(counts: Counts, values: Floats) -> Floats:
    """The mean rank of each row's copies within each resample, (R, N)."""
    order, starts = _groups(values)
    inside = np.add.reduceat(counts[:, order].astype(np.float64), starts, axis=1)
    rank = inside.cumsum(1) - (inside - 1) / 2  # (R, groups)
    group = np.zeros(len(order), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff([*starts, len(order)]))
    return np.asarray(rank[:, group])


def _groups(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows by rising value, and where each group of equal ones starts."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    return order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])


def _correlation(counts: Counts, x: Floats, y: Floats) -> Floats:
    """Pearson's r: counts (R, N), x and y (R, N) or the same for all (1, N) -> (R,); 0 where one has no spread."""
    total = counts.sum(1, keepdims=True)
    away = [value - (counts * value).sum(1, keepdims=True) / total for value in (x, y)]
    both, *own = ((counts * one * other).sum(1) for one, other in (away, (away[0],) * 2, (away[1],) * 2))
    size = np.sqrt(own[0] * own[1])
    least = TINY * np.sqrt(((counts * x**2).sum(1)) * (counts * y**2).sum(1))
    return np.divide(both, size, out=np.zeros_like(both), where=size > least)
