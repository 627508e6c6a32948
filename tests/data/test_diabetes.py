"""Diabetes, against scikit-learn's own copy and its StandardScaler; a regression of a known size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from fusionbench.data.diabetes import Diabetes
from fusionbench.data.targets import scale_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def test_modalities_are_what_is_examined_and_what_is_in_the_blood(root: Path) -> None:
    data = Diabetes(root)
    data.setup()
    found = load_diabetes(scaled=False)
    assert found.feature_names == ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    assert (data.arrays["body"] == found.data[:, :4]).all()
    assert (data.arrays["serum"] == found.data[:, 4:]).all()
    assert (data.batch(np.arange(442)).targets.numpy() == found.target[:, None]).all()
    assert (found.target.min(), found.target.max()) == (25, 346)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_fitted_is_fitted_on_the_training_rows(root: Path, seed: int) -> None:
    data = Diabetes(root, seed=seed)
    data.setup()
    assert data.parts is not None
    batch = data.batch(np.arange(442))
    for modality in data.task.names:
        raw = np.asarray(data.arrays[modality])
        scaler = StandardScaler().fit(raw[data.parts.train])
        np.testing.assert_allclose(batch.inputs[modality].numpy(), scaler.transform(raw), rtol=1e-5, atol=1e-5)
    scaler = StandardScaler().fit(batch.targets.numpy()[data.parts.train])
    mean, deviation = scale_of(data)
    assert mean == pytest.approx(scaler.mean_)
    assert deviation == pytest.approx(scaler.scale_)


def test_parts_are_disjoint_complete_and_of_every_band_of_progression(root: Path) -> None:
    one, other = Diabetes(root, seed=0), Diabetes(root, seed=1)
    for data in (one, other):
        data.setup()
    assert one.parts is not None
    assert other.parts is not None
    parts = [one.parts.train, one.parts.validation, one.parts.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(442))
    assert one.parts.test.tolist() == other.parts.test.tolist()
    assert one.parts.validation.tolist() != other.parts.validation.tolist()
    targets = np.asarray(one.arrays["targets"])
    edges = np.quantile(targets, [0.2, 0.4, 0.6, 0.8])
    for rows, fraction in zip(parts, (0.7, 0.1, 0.2), strict=True):
        counts = np.bincount(np.digitize(targets[rows], edges), minlength=5)
        assert np.abs(counts / len(rows) - 0.2).max() < 0.06
        assert len(rows) == pytest.approx(fraction * 442, abs=6)


def test_both_modalities_together_tell_more_than_each_to_a_linear_regression(root: Path) -> None:
    data = Diabetes(root)
    data.setup()
    assert data.parts is not None
    train, test = data.batch(data.parts.train), data.batch(data.parts.test)

    def r2(*modalities: str) -> float:
        x, unseen = (torch.cat([batch.inputs[m] for m in modalities], 1).numpy() for batch in (train, test))
        return float(LinearRegression().fit(x, train.targets.numpy()).score(unseen, test.targets.numpy()))

    assert r2("body", "serum") > max(r2("body"), r2("serum")) > 0.25
