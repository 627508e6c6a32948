"""WDBC, against scikit-learn's own copy and its StandardScaler."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from fusionbench.data.wdbc import WDBC


def test_modalities_are_the_means_the_errors_and_the_worst(tmp_path: Path) -> None:
    data = WDBC(tmp_path)
    data.setup()
    found = load_breast_cancer()
    for modality, belongs in {"mean": r"^mean ", "error": r" error$", "worst": r"^worst "}.items():
        columns = [index for index, name in enumerate(found.feature_names) if re.search(belongs, name)]
        assert len(columns) == 10
        assert (data.arrays[modality] == found.data[:, columns]).all()
    assert (data.arrays["targets"] == found.target).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_inputs_are_what_a_scaler_fitted_on_the_training_rows_gives(tmp_path: Path, seed: int) -> None:
    data = WDBC(tmp_path, seed=seed)
    data.setup()
    assert data.parts is not None
    batch = data.batch(np.arange(569))
    for modality in data.task.names:
        raw = np.asarray(data.arrays[modality])
        expected = StandardScaler().fit(raw[data.parts.train]).transform(raw)
        np.testing.assert_allclose(batch.inputs[modality].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_seed_moves_validation_and_never_the_test_rows(tmp_path: Path) -> None:
    parts = []
    for seed in (0, 1):
        data = WDBC(tmp_path, seed=seed)
        data.setup()
        assert data.parts is not None
        parts.append(data.parts)
    assert parts[0].test.tolist() == parts[1].test.tolist()
    assert parts[0].validation.tolist() != parts[1].validation.tolist()


def test_parts_are_disjoint_complete_and_stratified(tmp_path: Path) -> None:
    data = WDBC(tmp_path)
    data.setup()
    assert data.parts is not None
    parts = [data.parts.train, data.parts.validation, data.parts.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(569))
    counts = np.bincount(data.arrays["targets"])
    for rows, fraction in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert np.abs(np.bincount(data.arrays["targets"][rows]) - fraction * counts).max() <= 1
