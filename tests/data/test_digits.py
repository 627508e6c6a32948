"""Digits, against scikit-learn's own copy."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from fusionbench.data.digits import Digits


def test_the_halves_glue_back_to_scikit_learns_pictures(tmp_path: Path) -> None:
    data = Digits(tmp_path)
    data.setup()
    batch = data.batch(np.arange(1797))
    glued = np.concatenate([batch.inputs["left"], batch.inputs["right"]], axis=3)[:, 0]
    found = load_digits()
    assert data.parts is not None
    halves = np.split(found.images, 2, axis=2)
    centred = [half - half[data.parts.train].mean(0) for half in halves]
    expected = np.concatenate([half / half[data.parts.train].std() for half in centred], 2)
    np.testing.assert_allclose(glued, expected, rtol=1e-4, atol=1e-5)
    assert batch.targets.tolist() == found.target.tolist()


def test_the_task_states_the_shapes_of_a_batch(tmp_path: Path) -> None:
    data = Digits(tmp_path)
    data.setup()
    batch = data.batch(np.arange(3))
    assert {name: tuple(x.shape[1:]) for name, x in batch.inputs.items()} == {
        modality.name: modality.shape for modality in data.task.modalities
    }
    assert data.task.classes == len(set(data.tensors["targets"].tolist()))


def test_the_seed_moves_validation_and_never_the_test_rows(tmp_path: Path) -> None:
    parts = []
    for seed in (0, 1, 0):
        data = Digits(tmp_path, seed=seed)
        data.setup()
        assert data.parts is not None
        parts.append(data.parts)
    assert parts[0].test.tolist() == parts[1].test.tolist()
    assert parts[0].validation.tolist() != parts[1].validation.tolist()
    assert parts[0].sha256 == parts[2].sha256 != parts[1].sha256


def test_parts_are_disjoint_complete_and_stratified(tmp_path: Path) -> None:
    data = Digits(tmp_path, seed=3)
    data.setup()
    assert data.parts is not None
    parts = [data.parts.train, data.parts.validation, data.parts.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    counts = np.bincount(data.arrays["targets"])
    for rows, fraction in zip(parts, (0.72, 0.08, 0.2), strict=True):
        found = np.bincount(data.arrays["targets"][rows])
        assert np.abs(found - fraction * counts).max() <= 1
