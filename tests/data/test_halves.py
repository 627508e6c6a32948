"""Halves of a dataset's training rows: fixed for data and seed, whatever asks for them, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskKind, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.halves import ENCODERS, FUSION, keep_half
from fusionbench.data.splits import Rows, Split

COUNT = 60


class Thirds(MultimodalData):
    """60 rows of 3 classes; 41 are for training."""

    several = False

    @property
    def task(self) -> TaskSpec:
        kind: TaskKind = "multilabel" if self.several else "multiclass"
        return TaskSpec((ModalitySpec("a", "vector", (2,)),), 3, kind, "gap20" if self.several else "accuracy")

    def identity(self) -> bool:
        return self.several

    def convert(self, folder: Path) -> None:
        np.save(folder / "a.npy", np.arange(2 * COUNT, dtype=np.float32).reshape(COUNT, 2))
        labels = np.arange(COUNT) % 3
        np.save(folder / "targets.npy", np.eye(3, dtype=np.float32)[labels] if self.several else labels)

    def split(self) -> Split:
        rows = np.random.default_rng(0).permutation(COUNT)
        return Split(np.sort(rows[:41]), np.sort(rows[41:50]), np.sort(rows[50:]))

    def preprocess(self, modality: str, values: NDArray[np.float32], train: Rows) -> NDArray[np.float32]:
        return values - values[train].mean(0)


def ready(root: Path, seed: int = 0, kind: type[Thirds] = Thirds, batch_size: int = 8) -> Thirds:
    data = kind(root, seed, batch_size)
    data.prepare_data()
    data.setup()
    return data


def half(data: MultimodalData, whose: int) -> list[int]:
    keep_half(data, whose)  # type: ignore[arg-type]
    assert data.parts
    return data.parts.train.tolist()


def test_both_halves_are_all_training_rows_each_once_with_every_class_in_both(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert data.parts
    whole = data.parts
    first, second = half(data, ENCODERS), half(data, FUSION)
    assert sorted(first + second) == whole.train.tolist()
    assert abs(len(first) - len(second)) == 1
    for label in range(3):
        counts = [sum(row % 3 == label for row in rows) for rows in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1
    assert data.whole is whole


def test_they_depend_on_the_seed_alone_and_not_on_what_asks_or_how_often(tmp_path: Path) -> None:
    first = half(ready(tmp_path), ENCODERS)
    again = ready(tmp_path, batch_size=3)
    assert half(again, FUSION) != first
    torch.manual_seed(5)
    assert half(again, ENCODERS) == first
    assert half(again, ENCODERS) == first
    assert half(ready(tmp_path, seed=1), ENCODERS) != first


def test_validation_test_and_what_was_fitted_stay(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert data.parts
    before, rows = data.parts, np.arange(COUNT)
    inputs = data.batch(rows).inputs["a"].clone()
    keep_half(data, FUSION)
    assert data.parts.validation is before.validation
    assert data.parts.test is before.test
    assert data.parts.drawn is before.drawn
    torch.testing.assert_close(data.batch(rows).inputs["a"], inputs, rtol=0, atol=0)
    trained = torch.cat([batch.ids for batch in data.train_dataloader()]).tolist()
    assert set(trained) <= set(data.parts.train.tolist())


def test_what_a_seed_drew_besides_is_still_part_of_the_split(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert data.parts
    data.parts = replace(data.parts, drawn=np.arange(COUNT))
    keep_half(data, FUSION)
    assert data.parts.drawn is not None


class InSixes(Thirds):
    def groups(self, rows: Rows) -> NDArray[np.int64]:
        return rows // 6


class Crowd(Thirds):
    def groups(self, rows: Rows) -> NDArray[np.int64]:
        return np.zeros_like(rows)


class Several(Thirds):
    several = True


class NoTensors(Thirds):
    """Keeps its targets where nothing else looks."""

    def load_memory(self) -> None:
        super().load_memory()
        self.kept = self.tensors.pop("targets")

    def batch(self, rows: Rows):  # type: ignore[no-untyped-def]
        self.tensors["targets"] = self.kept
        found = super().batch(rows)
        del self.tensors["targets"]
        return found


def test_groups_are_in_one_half_each(tmp_path: Path) -> None:
    data = ready(tmp_path, kind=InSixes)
    first, second = half(data, ENCODERS), half(data, FUSION)
    assert not {row // 6 for row in first} & {row // 6 for row in second}
    assert 15 <= len(first) <= 26


def test_one_group_cannot_be_cut_and_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"41 training rows are one group.*\n.*pretrain: \{rows: all\}"):
        keep_half(ready(tmp_path, kind=Crowd), FUSION)


def test_rows_of_several_labels_are_cut_whatever_their_labels(tmp_path: Path) -> None:
    data = ready(tmp_path, kind=Several)
    assert sorted([len(half(data, ENCODERS)), len(half(data, FUSION))]) == [20, 21]


def test_classes_are_read_from_batches_where_a_dataset_keeps_them_elsewhere(tmp_path: Path) -> None:
    assert half(ready(tmp_path, kind=NoTensors), ENCODERS) == half(ready(tmp_path), ENCODERS)
