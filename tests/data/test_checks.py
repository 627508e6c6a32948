"""Data of one's own that are wrong: each fault is refused in one line that says what, where and the way out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data import store
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split
from fusionbench.data.store import MANIFEST, read_manifest

COUNT = 60
ROWS = np.arange(COUNT)


def good_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "seen": rng.normal(size=(COUNT, 3)).astype(np.float32),
        "heard": rng.normal(size=(COUNT, 1, 4, 4)).astype(np.float32),
        "targets": ROWS % 3,
    }


class Own(MultimodalData):
    """A vector and a picture; three classes. What is wrong with it, a test says."""

    def __init__(
        self, root: Path, *, arrays: Any = None, split: Any = None, batch: Any = None, task: Any = None
    ) -> None:
        super().__init__(root, 0, 8)
        self.given = good_arrays() | (arrays or {})
        self.parted = split or (ROWS[:30], ROWS[30:40], ROWS[40:])
        self.changes, self.changed_task = batch or {}, task or {}

    @property
    def task(self) -> TaskSpec:
        vector, picture = ModalitySpec("seen", "vector", (3,)), ModalitySpec("heard", "image", (1, 4, 4))
        return replace(TaskSpec((vector, picture), classes=3), **self.changed_task)

    def convert(self, folder: Path) -> None:
        for name, values in self.given.items():
            if values is not None:
                np.save(folder / f"{name}.npy", values)

    def split(self) -> Split:
        return Split(*self.parted)

    def batch(self, rows: Rows) -> MultimodalBatch:
        whole = super().batch(rows)
        made: dict[str, Any] = {name: change(whole) for name, change in self.changes.items()}
        return replace(whole, **made)


def refused(data: MultimodalData, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        data.setup()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{data.name}: ")


def changed(name: str, row: int, value: float) -> dict[str, np.ndarray]:
    values = good_arrays()[name]
    values[row] = value
    return {name: values}


def test_data_that_are_right_are_taken(tmp_path: Path) -> None:
    data = Own(tmp_path)
    data.setup()
    assert data.parts is not None
    assert data.parts.counts == {"train": 30, "validation": 10, "test": 20}


PARTS: dict[str, tuple[Any, str]] = {
    "shared": ((ROWS[:30], ROWS[30:45], ROWS[40:]), "validation and test share 5 rows, the first is 40; "),
    "all shared": ((ROWS, ROWS, ROWS), "train and validation share 60 rows, the first is 0; "),
    "twice": ((np.array([1, 2, 2, 3]), ROWS[30:40], ROWS[40:]), "split gives row 2 twice for train"),
    "beyond": ((ROWS[:30], ROWS[30:40], ROWS[40:] + 1), "split gives row 60 for test; rows are 0 to 59"),
    "negative": ((ROWS[:30] - 1, ROWS[30:40], ROWS[40:]), "split gives row -1 for train; rows are 0 to 59"),
    "no test": ((ROWS[:30], ROWS[30:], ROWS[:0]), "split gives no row for test; each part needs some"),
    "no validation": ((ROWS[:30], ROWS[:0], ROWS[30:]), "split gives no row for validation"),
    "mask": ((ROWS < 30, ROWS[30:40], ROWS[40:]), r"split gives bool \(60,\) for train; give row numbers"),
    "floats": ((ROWS[:30] * 1.0, ROWS[30:40], ROWS[40:]), r"split gives float64 \(30,\) for train"),
    "list": ((list(range(30)), ROWS[30:40], ROWS[40:]), "split gives list for train; give row numbers"),
    "columns": ((ROWS[:30, None], ROWS[30:40], ROWS[40:]), r"split gives int64 \(30, 1\) for train"),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_share_rows_reach_outside_or_are_empty_are_refused(tmp_path: Path, name: str) -> None:
    refused(Own(tmp_path, split=PARTS[name][0]), PARTS[name][1])


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"heard": None}, "convert wrote no heard.npy; it wrote seen, targets"),
    "no targets": ({"targets": None}, "convert wrote no targets.npy"),
    "shorter": ({"seen": np.zeros((59, 3))}, r"arrays of unequal length \(seen 59, heard 60, targets 60 rows\)"),
    "longer targets": ({"targets": np.arange(63) % 3}, "arrays of unequal length"),
    "one number": ({"seen": np.zeros(())}, r"arrays of unequal length \(seen none, "),
    "wider": ({"seen": np.zeros((60, 4))}, r"'seen' has samples of \(4,\), its task says \(3,\)"),
    "channels last": ({"heard": np.zeros((60, 4, 4, 1))}, r"'heard' has samples of \(4, 4, 1\), .* \(1, 4, 4\)"),
    "flat": ({"seen": np.zeros(60)}, r"'seen' has samples of \(\), its task says \(3,\)"),
    "letters": ({"seen": np.full((60, 3), "a")}, "seen.npy is of type <U1; it must hold numbers"),
    "complex": ({"seen": np.full((60, 3), 1j)}, "seen.npy is of type complex128; it must hold numbers"),
    "from 1": ({"targets": ROWS % 3 + 1}, "row 2 has the target 3, classes are 0 to 2; count classes from 0"),
    "minus one": (changed("targets", 50, -1), "row 50 has the target -1, classes are 0 to 2"),
    "class 7": (changed("targets", 35, 7), "row 35 has the target 7, classes are 0 to 2$"),
    "float classes": ({"targets": ROWS % 3 * 1.0}, r"targets are float64 \(\d+,\); a multiclass task .* int64 \(n,\)"),
    "one-hot": ({"targets": np.eye(3, dtype=np.int64)[ROWS % 3]}, r"targets are int64 \(\d+, 3\); a multiclass task"),
    "bytes": ({"targets": (ROWS % 3).astype(np.uint8)}, r"targets are uint8 \(\d+,\); .* int64 \(n,\)"),
    "letter classes": ({"targets": np.full(60, "a")}, "targets.npy is of type <U1; it must hold numbers"),
    "NaN": (changed("seen", 55, np.nan), r"'seen' of row 55 \(test\) is NaN or infinite; mend it in convert"),
    "infinite": (changed("heard", 31, np.inf), r"'heard' of row 31 \(validation\) is NaN or infinite"),
    "too large": ({"seen": np.full((60, 3), 1e300)}, r"'seen' of row 0 \(train\) is NaN or infinite"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_wrong_shape_type_or_value_are_refused(tmp_path: Path, name: str) -> None:
    refused(Own(tmp_path, arrays=ARRAYS[name][0]), ARRAYS[name][1])


SEVERAL = {"classes": 3, "kind": "multilabel", "metric": "gap20"}
TAGS = np.eye(3)[ROWS % 3]


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (ROWS % 3, r"targets are int64 \(\d+,\); a multilabel task of \d+ rows needs float \(n, 3\)"),
        (TAGS[:, :2], r"targets are float64 \(\d+, 2\); a multilabel task"),
        (TAGS.astype(bool), r"targets are bool \(\d+, 3\); a multilabel task"),
        (TAGS * 2, "row 0 has the target 2; a multilabel task has zeros and ones"),
        (
            np.where(ROWS[:, None] == 44, np.nan, TAGS),
            "row 44 has the target nan; a multilabel task has zeros and ones",
        ),
    ],
)
def test_tags_that_are_no_zeros_and_ones_are_refused(tmp_path: Path, targets: np.ndarray, told: str) -> None:
    Own(tmp_path / "right", arrays={"targets": TAGS}, task=SEVERAL).setup()
    refused(Own(tmp_path, arrays={"targets": targets}, task=SEVERAL), told)


NUMBERS = {"classes": 2, "kind": "regression", "metric": "mae"}
AMOUNTS = np.stack([ROWS * 1.5, ROWS % 7], 1)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (AMOUNTS[:, 0], r"targets are float64 \(\d+, 1\); a regression task of \d+ rows needs float \(n, 2\)"),
        (np.where(ROWS[:, None] == 44, np.nan, AMOUNTS), "row 44 has the target nan; leave the row out, or mend it"),
        (np.where(ROWS[:, None] == 7, -np.inf, AMOUNTS), "row 7 has the target -inf; leave the row out"),
        (np.stack([ROWS, ROWS // 30], 1), "number 1 of the targets is the same in all training rows; there is nothing"),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused(tmp_path: Path, targets: np.ndarray, told: str) -> None:
    refused(Own(tmp_path, arrays={"targets": targets}, task=NUMBERS), told)


@pytest.mark.parametrize("targets", [ROWS, ROWS[:, None] * 1.5], ids=["integers", "a column"])
def test_one_number_a_sample_may_be_a_column_or_not_and_whole(tmp_path: Path, targets: np.ndarray) -> None:
    data = Own(tmp_path, arrays={"targets": targets}, task=NUMBERS | {"classes": 1})
    data.setup()
    found = data.batch(ROWS[:3]).targets
    assert found.dtype == torch.float64
    assert found.tolist() == targets.reshape(60, 1)[:3].tolist()


def named(name: str) -> dict[str, Any]:
    return {"modalities": (ModalitySpec(name, "vector", (3,)), ModalitySpec("heard", "image", (1, 4, 4)))}


@pytest.mark.parametrize("name", ["type", "a.b", "", "keys", "forward", "training", "pop", "train", "targets", "a/b"])
def test_a_name_that_torch_or_a_file_refuses_is_refused(tmp_path: Path, name: str) -> None:
    refused(Own(tmp_path, task=named(name)), f"a modality cannot be named {re.escape(repr(name))}: ")


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (named("heard"), "its modalities are 'heard, heard'; there must be some, each named once"),
        ({"modalities": ()}, "there must be some"),
        ({"classes": 1}, "a multiclass task of 1 classes; it must have at least 2"),
        (
            {"kind": "regression", "metric": "r2", "classes": 0},
            "a regression task of 0 numbers; it must have at least 1",
        ),
        (
            {"kind": "regression", "metric": "accuracy"},
            "no task is regression and ranked by accuracy; .*regression by r2",
        ),
        ({"metric": "gap20"}, "no task is multiclass and ranked by gap20; there are multiclass by accuracy"),
        ({"kind": "multi"}, "no task is multi and ranked by accuracy"),
        ({"modalities": (ModalitySpec("seen", "tokens", (3,)),)}, "'seen' states no vocabulary"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(tmp_path: Path, task: dict[str, Any], told: str) -> None:
    refused(Own(tmp_path, task=task), told)


def test_a_task_has_the_modalities_that_its_view_states(tmp_path: Path) -> None:
    class Viewed(Own):
        views = {"pair": {"seen": "vector", "herd": "image"}}

    refused(Viewed(tmp_path), "its task has the modalities .*'heard': 'image'.*'herd': 'image'}; make them one")


def test_a_name_of_a_view_is_refused_before_anything_is_converted(tmp_path: Path) -> None:
    class Reserved(Own):
        views = {"pair": {"type": "vector"}}

    with pytest.raises(UserError, match="cannot be named 'type'"):
        Reserved(tmp_path).prepare_data()
    assert not (tmp_path / "prepared").exists()


def other(batch: MultimodalBatch, name: str, value: Tensor) -> dict[str, Tensor]:
    return batch.inputs | {name: value}


BATCHES: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"inputs": lambda b: {"seen": b.inputs["seen"]}}, "'heard' is not in its inputs and present"),
    "no present": ({"present": lambda b: {"seen": b.present["seen"]}}, "'heard' is not in its inputs and present"),
    "double": ({"inputs": lambda b: other(b, "seen", b.inputs["seen"].double())}, "'seen' is float64 .* are float32"),
    "cut": (
        {"inputs": lambda b: other(b, "seen", b.inputs["seen"][:, :2])},
        r"'seen' is float32 \(\d+, 2\); \d+ samples",
    ),
    "fewer": (
        {"inputs": lambda b: other(b, "seen", b.inputs["seen"][1:])},
        r"'seen' is float32 .*; \d+ samples of \(3,\)",
    ),
    "present as numbers": (
        {"present": lambda b: dict.fromkeys(b.present, b.ids)},
        r"present is int64 .* bool \(\d+,\)",
    ),
    "mask of steps": ({"masks": lambda b: {"seen": b.ids}}, r"'seen': its mask is int64 \(\d+,\); it must be bool"),
    "ids": ({"ids": lambda b: torch.arange(len(b))}, "its ids are not the rows that were asked for"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_that_is_not_as_a_model_expects_is_refused(tmp_path: Path, name: str) -> None:
    refused(Own(tmp_path, batch=BATCHES[name][0]), BATCHES[name][1])


@pytest.mark.parametrize(("ids", "told"), [(5, "ids outside of 0 to 4, its vocabulary"), (-1, "ids outside of 0 to 4")])
def test_tokens_outside_of_the_vocabulary_are_refused(tmp_path: Path, ids: int, told: str) -> None:
    tokens = {"modalities": (ModalitySpec("seen", "tokens", (3,), vocabulary=5),)}
    right = Own(tmp_path / "right", arrays={"seen": np.full((60, 3), 4)}, task=tokens)
    right.setup()
    assert right.batch(ROWS[:2]).inputs["seen"].dtype == torch.int64
    refused(Own(tmp_path, arrays={"seen": np.full((60, 3), ids)}, task=tokens), told)


# --- values that are not finite -----------------------------------------------------------------------------------


class Mapped(Own):
    """Reads its inputs from the memory map; row i has `seen` where i is even."""

    def load_memory(self) -> None:
        self.tensors["targets"] = torch.from_numpy(np.array(self.arrays["targets"]))

    def batch(self, rows: Rows) -> MultimodalBatch:
        index = torch.from_numpy(rows)
        inputs = {name: torch.from_numpy(np.array(self.arrays[name][rows])) for name in self.task.names}
        present = {"seen": index % 2 == 0, "heard": torch.ones(len(rows), dtype=torch.bool)}
        return MultimodalBatch(inputs, {}, present, self.tensors["targets"][index], index)


def converted(root: Path) -> Path:
    return next((root / "prepared").glob(f"*/{MANIFEST}")).parent


def test_rows_with_values_that_are_not_finite_are_in_the_manifest(tmp_path: Path) -> None:
    values = good_arrays()["heard"]
    values[[7, 20], 0, 1, 2] = np.nan, -np.inf
    Own(tmp_path, arrays={"heard": values, "spare": np.full(3, np.nan), "whole": np.zeros((2, 0))}).prepare_data()
    assert read_manifest(converted(tmp_path))["not_finite"] == {"heard": [7, 20], "spare": [0, 1, 2]}


def test_what_stands_in_the_place_of_an_absent_modality_does_not_matter(tmp_path: Path) -> None:
    Mapped(tmp_path, arrays=changed("seen", 21, np.nan)).setup()


def test_a_present_value_that_only_the_manifest_knows_of_is_refused(tmp_path: Path) -> None:
    refused(Mapped(tmp_path, arrays=changed("seen", 20, np.nan)), r"'seen' of row 20 \(train\) is NaN or infinite")


def test_rows_of_no_part_may_hold_anything(tmp_path: Path) -> None:
    wrong = changed("seen", 41, np.nan) | changed("targets", 41, -1)
    Own(tmp_path, arrays=wrong, split=(ROWS[:30], ROWS[30:40], ROWS[42:])).setup()


def test_arrays_that_an_older_version_converted_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = changed("seen", 20, np.nan)
    Mapped(tmp_path, arrays=wrong).prepare_data()
    path = converted(tmp_path) / MANIFEST
    whole = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r' "not_finite": \{[^}]*\},?\n', "", whole).replace("],\n}", "]\n}"), encoding="utf-8")
    assert "not_finite" not in read_manifest(path.parent)
    refused(Mapped(tmp_path, arrays=wrong), "'seen' of row 20")
    assert path.read_text(encoding="utf-8") == whole
    monkeypatch.setattr(store, "rows_not_finite", lambda arrays: pytest.fail("looked again"))
    refused(Mapped(tmp_path, arrays=wrong), "'seen' of row 20")
