"""Pieces, n-grams and their weights: against scikit-learn's naive Bayes, and fitted on training alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.naive_bayes import MultinomialNB

from fusionbench.data.imdb_features import FOLDS, log_ratios, ngrams, out_of_fold, strongest
from fusionbench.data.imdb_files import cleaned

RNG = np.random.default_rng(0)
HELD = csr_matrix((RNG.random((90, 12)) < 0.3).astype(np.int64))
TARGETS = RNG.integers(0, 2, 90)
TRAIN = np.arange(90) < 70
FOLD = RNG.integers(0, FOLDS, 90)


def test_log_ratios_are_those_of_naive_bayes() -> None:
    probability = MultinomialNB(alpha=1.0).fit(HELD, TARGETS).feature_log_prob_
    assert log_ratios(HELD, TARGETS) == pytest.approx(probability[1] - probability[0], abs=1e-5)


def dense(targets: np.ndarray) -> np.ndarray:
    weights = out_of_fold(HELD, targets, TRAIN, FOLD)
    return csr_matrix((weights, HELD.indices, HELD.indptr), shape=HELD.shape).toarray()


def test_a_training_rows_weights_come_from_the_other_folds_and_the_others_from_all_of_training() -> None:
    found = dense(TARGETS)
    for row in range(90):
        seen = TRAIN & (FOLD[row] != FOLD) if TRAIN[row] else TRAIN
        probability = MultinomialNB(alpha=1.0).fit(HELD[seen], TARGETS[seen]).feature_log_prob_
        expected = (probability[1] - probability[0]) * HELD[[row]].toarray()[0]
        assert found[row] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("row", [0, 30, 69, 75, 89])
def test_a_rows_own_label_never_touches_its_weights(row: int) -> None:
    flipped = TARGETS.copy()
    flipped[row] = 1 - flipped[row]
    assert (dense(TARGETS)[row] == dense(flipped)[row]).all()


def test_labels_outside_training_touch_nothing() -> None:
    assert (dense(TARGETS) == dense(np.where(TRAIN, TARGETS, 1 - TARGETS))).all()


def test_ngrams_are_the_commonest_words_and_pairs_of_training() -> None:
    texts = ["Good film, good FILM!", "good film", "bad don't", "test only test only test only"]
    held = ngrams(texts, np.array([True, True, True, False]), 3)
    # good, film, "good film": in two of the three training rows each; a word counts once in a review.
    assert held.toarray().tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_only_the_strongest_entries_of_a_long_row_are_kept() -> None:
    weights = np.array([0.1, -3.0, 2.0, 0.5, 1.0, -1.0], dtype=np.float32)
    assert strongest(weights, np.array([0, 4, 4, 6]), 2).tolist() == [False, True, True, False, True, True]


def test_cleaned_text_has_no_breaks() -> None:
    assert cleaned("One.<br /><br />Two\tthree\n ") == "One. Two three"
