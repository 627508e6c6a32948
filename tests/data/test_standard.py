"""Standardised on training rows: as scikit-learn does it, but for constant columns and values far out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from fusionbench.data.standard import CLIP, fitted


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.uint8, np.int64])
def test_it_is_scikit_learns_standard_scaler_whatever_the_type_and_the_parts(kind: type) -> None:
    values: np.ndarray = np.random.default_rng(0).normal(50, [1, 5, 20], size=(500, 3)).astype(kind)
    of = fitted(lambda: np.array_split(values, 7))
    expected = StandardScaler().fit_transform(values.astype(np.float64))
    assert of(values).dtype == np.float32
    np.testing.assert_allclose(of(values), expected.clip(-CLIP, CLIP), atol=2e-5)


def test_a_column_that_is_constant_in_training_says_nothing_and_blows_no_test_row_up() -> None:
    training = np.c_[np.linspace(0, 1, 350), np.zeros(350), np.full(350, 0.1)]
    training[0, 2] = np.nextafter(0.1, 1)  # Constant but for rounding.
    of = fitted(lambda: [training])
    assert of(np.array([[0.5, 255.0, 7.0]]))[:, 1:].tolist() == [[0.0, 0.0]]


def test_a_column_that_hardly_ever_changes_in_training_is_clipped() -> None:
    training = np.zeros((350, 1))
    training[7] = 3
    of = fitted(lambda: [training])
    assert of(np.array([[255.0], [-255.0]])).tolist() == [[CLIP], [-CLIP]]


def test_large_numbers_that_differ_little_keep_their_digits() -> None:
    seconds = 1.7e9 + np.arange(100.0)[:, None]
    of = fitted(lambda: [seconds])
    np.testing.assert_allclose(of(seconds), StandardScaler().fit_transform(seconds), atol=1e-5)
