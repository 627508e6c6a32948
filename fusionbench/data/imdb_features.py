"""From reviews to numbers: subword pieces, and n-grams weighted by naive Bayes; all fitted on training rows alone.

    r_j = log( (p_j / |p|_1) / (q_j / |q|_1) )
    p   = 1 + sum of x over the positive rows,  q = 1 + sum of x over the negative rows

x_j is 1 where a review holds n-gram j, else 0. A training row's weights come from the other folds: weights that have
seen a row's label would make its n-grams look surer in training than they ever are in a test.

Source: Wang & Manning 2012, "Baselines and Bigrams".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import sha256_of

FOLDS = 5
PIECES = 8000
"""Subwords, of which 0 is padding and 1 an unknown letter."""
WORDS = r"(?u)\w+(?:'\w+)?|[!?]"
"""What an n-gram is made of, in lower case."""


def number_of(name: str) -> int:
    """A number that a name always has, evenly spread: draws films without a seed."""
    return int(sha256_of(name)[:12], 16)


def ngrams(texts: Sequence[str], train: NDArray[np.bool_], count: int) -> Any:
    """Which of the `count` commonest words and pairs of words of the training rows a text holds: CSR (n, count)."""
    held = ngram_counter(texts, train, count).transform(texts)
    held.sort_indices()
    return held


def ngram_counter(texts: Sequence[str], train: NDArray[np.bool_], count: int) -> Any:
    """What counts these words and pairs of words, and knows them by name."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=WORDS, max_features=count)
    return counter.fit([text for text, is_train in zip(texts, train, strict=True) if is_train])


def log_ratios(held: Any, targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """The formula above, r (V,).

    Args:
        held: CSR (n, V) of zeros and ones.
        targets: (n,) 1 for positive, 0 for negative.
    """
    p, q = (1.0 + np.asarray(held[targets == label].sum(0), dtype=float).ravel() for label in (1, 0))
    return np.log((p / p.sum()) / (q / q.sum())).astype(np.float32)


def out_of_fold(
    held: Any, targets: NDArray[np.int64], train: NDArray[np.bool_], fold: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Every entry's weight, in the order of `held.data`.

    Args:
        held: CSR (n, V).
        targets: (n,).
        train: bool (n,), the rows that may be fitted on.
        fold: (n,) in 0 .. FOLDS-1; a training row's weights are fitted on the training rows of the other folds.
    """
    tables = [log_ratios(held[train & (fold != k)], targets[train & (fold != k)]) for k in range(FOLDS)]
    tables.append(log_ratios(held[train], targets[train]))
    which = np.where(train, fold, FOLDS)
    return np.stack(tables)[np.repeat(which, np.diff(held.indptr)), held.indices]


def strongest(weights: NDArray[np.float32], indptr: NDArray[Any], most: int) -> NDArray[np.bool_]:
    """Which entries to keep so that no row has more than `most`: those of the largest weights, by size."""
    keep = np.ones(len(weights), dtype=bool)
    for row in np.flatnonzero(np.diff(indptr) > most):
        first, last = int(indptr[row]), int(indptr[row + 1])
        order = np.argsort(-np.abs(weights[first:last]), kind="stable")
        keep[first + order[most:]] = False
    return keep
