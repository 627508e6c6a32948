"""Strategies over several data sets: mean ranks and who beats whom, as description; a critical difference.

    rank[k, d]   1 for the highest mean of data set d; equal ones share the mean of their ranks
    wins[i, j]   on how many data sets i has the higher mean, a tie half
    CD           q(.95, K, inf) / sqrt(2) * sqrt(K (K+1) / (6 D))      mean ranks farther apart differ (Nemenyi)

One row per data set, never one per seed: data set x seed rows call equal strategies different in 37 of 100 tables at
three seeds. Below five data sets there is no critical difference.

Source: Demsar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7; Friedman 1937, "The use
of ranks to avoid the assumption of normality implicit in the analysis of variance", JASA 32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionbench.stats.estimate import Floats
from fusionbench.stats.refusals import NotTestable
from fusionbench.stats.studentized import critical

FEWEST_DATASETS = 5
MANY_DEGREES = 1e6
"""Of freedom: as good as infinitely many."""


@dataclass(frozen=True)
class CriticalDifference:
    """What mean ranks have to differ by."""

    difference: float
    friedman_p: float
    """Of all strategies being equal: where it is above .05, no pair differs."""


def ranks(means: Sequence[Sequence[float]]) -> Floats:
    """(K, D) means, higher is better, to ranks within each data set."""
    x = np.asarray(means, dtype=np.float64)
    above, equal = _above(x)
    return np.asarray(above.sum(0) + (equal.sum(0) + 1) / 2)


def win_matrix(means: Sequence[Sequence[float]]) -> Floats:
    """(K, D) means to (K, K): on how many data sets the first is higher than the second, a tie half."""
    above, equal = _above(np.asarray(means, dtype=np.float64))
    found = above.sum(-1) + equal.sum(-1) / 2
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def _above(x: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(K, D) to (K, K, D): whether the first is higher than the second, and whether they are equal."""
    return x[:, None] > x[None, :], x[:, None] == x[None, :]


def critical_difference(means: Sequence[Sequence[float]], sources: int) -> CriticalDifference:
    """Of mean ranks of K strategies over D data sets.

    Args:
        means: (K, D).
        sources: how many of the data sets are more than another one with other options.

    Raises:
        NotTestable: fewer than five data sets, or than three strategies.
    """
    x = np.asarray(means, dtype=np.float64)
    strategies, datasets = x.shape
    if sources < FEWEST_DATASETS:
        alike = f" ({datasets} with other options of the same)" if sources < datasets else ""
        raise NotTestable(f"a critical difference needs {FEWEST_DATASETS} data sets, there are {sources}{alike}")
    if strategies < 3:
        raise NotTestable(f"a critical difference needs 3 strategies, there are {strategies}")
    from scipy import stats  # Half a second: only where there are five data sets.

    factor = math.sqrt(strategies * (strategies + 1) / (6 * datasets))
    difference = float(critical(strategies, MANY_DEGREES)) / math.sqrt(2) * factor
    return CriticalDifference(difference, float(stats.friedmanchisquare(*x).pvalue))
