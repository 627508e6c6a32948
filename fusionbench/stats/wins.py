"""How often one strategy beats another at the same seed: P(A > B) with its exact interval, and a rank test.

    wins ~ Binomial(n, P)      Clopper-Pearson: every P whose tails of 2.5 % do not exclude as many wins
    p    = P(|sum_s +-r_s| >= |sum_s sign(d_s) r_s|)      Wilcoxon's signed ranks r of |d|, over all 2^n signs

A tie is no win. Never a bootstrap: of six seeds it has few values and no coverage. Below six seeds nothing is tested:
the smallest p that n seeds can have is 2 / 2^n, .0625 at five. All signs are gone through, so ties are right too; zeros
are left out. Tests hold both to scipy, which takes 5 ms a pair.

Source: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26; Wilcoxon 1945, "Individual comparisons by ranking methods", Biometrics Bulletin 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from fusionbench.stats.estimate import CONFIDENCE, Floats
from fusionbench.stats.refusals import NotTestable
from fusionbench.stats.standing import EXPLORATORY_BELOW

MOST_EXACT = 13
"""Seeds whose 2^n signs are all gone through; of more, as many are drawn."""


@dataclass(frozen=True)
class Wins:
    """All pairs of K strategies, seed by seed; arrays of shape (K, K), the first against the second."""

    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    n: int
    low: Floats
    """Of the 95 % interval of P(A > B)."""
    high: Floats
    rank_p: Floats
    """Of the signed-rank test, of each pair by itself."""


def wins(scores: Floats, rng: np.random.Generator) -> Wins:
    """Of K strategies at the same n seeds.

    Args:
        scores: (K, n).
        rng: draws signs where there are more than thirteen seeds.

    Raises:
        NotTestable: fewer than six seeds.
    """
    n = scores.shape[-1]
    if n < EXPLORATORY_BELOW:
        raise NotTestable(f"a rank test needs {EXPLORATORY_BELOW} seeds that both have, there are {n}")
    apart = scores[:, None] - scores[None, :]  # (K, K, n)
    won, ties = (apart > 0).sum(-1), (apart == 0).sum(-1)
    tail = (1 - CONFIDENCE) / 2
    low = np.where(won > 0, betaincinv(np.maximum(won, 1), n - won + 1, tail), 0.0)
    high = np.where(won < n, betaincinv(won + 1, np.maximum(n - won, 1), 1 - tail), 1.0)
    return Wins(won, ties, n, low, high, signed_rank_p(apart, rng))


def signed_rank_p(apart: Floats, rng: np.random.Generator) -> Floats:
    """Two-sided p of (..., n) paired differences; 1 where all are 0."""
    from scipy import stats  # Half a second: only from six seeds on.

    n = apart.shape[-1]
    zeros = apart == 0
    # Zeros have the lowest ranks: without them, all others move down.
    ranks = np.where(zeros, 0.0, stats.rankdata(np.abs(apart), axis=-1) - zeros.sum(-1, keepdims=True))
    if n <= MOST_EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = rng.choice([-1.0, 1.0], size=(2**MOST_EXACT, n))
        signs[0] = 1.0  # What was seen is one of the patterns: p is never 0.
    seen = np.abs((np.sign(apart) * ranks).sum(-1))
    possible = np.abs((np.sign(apart) * ranks) @ signs.T)  # (..., n) -> (..., 2^n)
    return np.asarray((possible >= seen[..., None] - 1e-9).mean(-1))
