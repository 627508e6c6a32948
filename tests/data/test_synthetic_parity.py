"""synthetic_parity: what it says of itself is true, as scikit-learn's classifiers see it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from fusionbench.core.errors import UserError
from fusionbench.data.synthetic_parity import SyntheticParity

PARTS = ("train", "validation", "test")


def made(root: Path, seed: int = 0, **options: Any) -> SyntheticParity:
    data = SyntheticParity(root, seed, **options)
    data.setup()
    return data


def rows(data: SyntheticParity, part: str) -> np.ndarray:
    assert data.parts is not None
    return np.asarray(getattr(data.parts, part))


def seen(data: SyntheticParity, modalities: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    batch = data.batch(rows(data, part))
    return np.concatenate([batch.inputs[name].numpy() for name in modalities], 1), batch.targets.numpy()


def test_every_cell_is_equally_often_in_every_part_and_labels_are_its_parity(tmp_path: Path) -> None:
    for seed in (0, 1):
        data = made(tmp_path, seed, train=96, validation=32, test=64)
        for part in PARTS:
            cells = np.asarray(data.arrays["cells"])[rows(data, part)]
            assert np.bincount(cells, minlength=8).tolist() == [data.sizes[part] // 8] * 8
            parity = [bin(cell).count("1") % 2 for cell in cells]
            assert data.batch(rows(data, part)).targets.tolist() == parity


def test_the_seed_moves_validation_and_never_the_test_rows(tmp_path: Path) -> None:
    one, other = made(tmp_path, 0), made(tmp_path, 1)
    assert one.fingerprint == other.fingerprint
    assert rows(one, "test").tolist() == rows(other, "test").tolist()
    assert rows(one, "validation").tolist() != rows(other, "validation").tolist()


def test_two_modalities_tell_nothing_and_all_three_everything(tmp_path: Path) -> None:
    data = made(tmp_path)
    for pair in map("".join, combinations("abc", 2)):
        near = KNeighborsClassifier(25).fit(*seen(data, pair, "train"))
        assert near.score(*seen(data, pair, "test")) == pytest.approx(0.5, abs=0.04)
    # The signs along the three directions, which a line each finds, and their product.
    signs = []
    for name in "abc":
        values, _ = seen(data, name, "train")
        bits = np.asarray(data.arrays["cells"])[rows(data, "train")] >> "abc".index(name) & 1
        test, _ = seen(data, name, "test")
        signs.append(LogisticRegression(max_iter=500).fit(values, bits).predict(test))
    assert np.mean((signs[0] ^ signs[1] ^ signs[2]) == seen(data, "a", "test")[1]) > 0.99
    linear = LogisticRegression(max_iter=500).fit(*seen(data, "abc", "train"))
    assert linear.score(*seen(data, "abc", "test")) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": 100}, r"train must be a multiple of 8, so that its 8 cells are.*got 100, use 96"),
        ({"test": 0}, r"test must be a multiple of 8.*got 0, use 8"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"noise": float("inf")}, "noise must be a finite number from 0 on, got inf"),
    ],
)
def test_options_that_fit_nothing_are_one_line(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(tmp_path, **options)
