"""Reviews as raw text: the bytes that were there, and nothing of the other views moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from imdb_folder import EACH, lay_out, made, ready, small

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.imdb import IMDB
from fusionbench.data.imdb_files import FOLDER, cleaned, read_reviews
from fusionbench.data.splits import Split

ACCENTED = "Amélie était très belle, 映画は素晴らしい"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    small(monkeypatch)
    found = made()
    name = next(name for name in found if name.startswith("train/neg/3_"))
    found[name] = ACCENTED.encode()
    lay_out(tmp_path, found)
    return found


def test_a_review_comes_as_its_bytes_and_its_bag_is_that_of_the_other_view(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    data, other = ready(tmp_path, view="text_ngrams"), ready(tmp_path)
    rows = np.random.default_rng(0).permutation(4 * EACH)
    batch, texts = data.batch(rows), [cleaned(text) for text in read_reviews(tmp_path / FOLDER).texts]
    found = [
        bytes(x[mask].tolist()).decode() for x, mask in zip(batch.inputs["text"], batch.masks["text"], strict=True)
    ]
    assert found == [texts[row] for row in rows]
    assert ACCENTED in found
    assert batch.inputs["text"].dtype == torch.uint8
    assert not batch.inputs["text"][~batch.masks["text"]].any()
    assert torch.equal(batch.inputs["ngrams"], other.batch(rows).inputs["ngrams"])
    assert torch.equal(batch.targets, other.batch(rows).targets)
    assert data.task.modality("text").shape == (max(len(text.encode()) for text in texts),)


def test_the_view_with_the_text_moves_nothing_of_the_others_and_is_stored_once(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    before = ready(tmp_path).fingerprint
    text = ready(tmp_path, view="text_ngrams")
    less = ready(tmp_path, view="text_ngrams", features=30)
    assert ready(tmp_path).fingerprint == ready(tmp_path, view="halves").fingerprint == before
    assert len({before, text.fingerprint, less.fingerprint}) == 3
    assert ready(tmp_path, view="text_ngrams", seed=1).fingerprint == text.fingerprint
    folders = [path.name for path in (tmp_path / "prepared").iterdir() if path.is_dir()]
    assert sorted(name.partition("-")[0] for name in folders) == ["imdb", "imdb", "imdb_text"]


def test_another_text_is_another_fingerprint_and_is_looked_at_anew(tmp_path: Path, files: dict[str, bytes]) -> None:
    before = ready(tmp_path, view="text_ngrams").fingerprint
    old = next((tmp_path / FOLDER / "test" / "pos").glob("7_*.txt"))
    old.unlink()
    old.write_text("the film was seen by me")
    assert ready(tmp_path, view="text_ngrams").fingerprint != before


def test_training_batches_are_of_texts_of_like_length(tmp_path: Path, files: dict[str, bytes]) -> None:
    data = ready(tmp_path, view="text_ngrams")
    order = data.train_order()
    assert isinstance(order, LengthBuckets)
    assert data.lengths.tolist() == [len(cleaned(text).encode()) for text in read_reviews(tmp_path / FOLDER).texts]


def test_a_text_that_is_there_needs_no_official_file(tmp_path: Path, files: dict[str, bytes]) -> None:
    ready(tmp_path, view="text_ngrams")
    (tmp_path / FOLDER).rename(tmp_path / "away")
    assert ready(tmp_path, view="text_ngrams").batch(np.arange(3)).inputs["text"].any()


def test_without_its_files_the_text_is_missed_in_two_lines(tmp_path: Path, files: dict[str, bytes]) -> None:
    ready(tmp_path)
    (tmp_path / FOLDER).rename(tmp_path / "away")
    with pytest.raises(UserError, match=r"IMDB's reviews are not in .*\n") as told:
        ready(tmp_path, view="text_ngrams")
    assert str(told.value).count("\n") == 1


class Notes(MultimodalData):
    """A dataset of one's own with texts as an array: no option, no mask, zeros behind each."""

    def __init__(self, root: Path, wrong: bool = False) -> None:
        super().__init__(root)
        self.wrong = wrong

    @property
    def task(self) -> TaskSpec:
        return TaskSpec((ModalitySpec("note", "text", (5,)),), 2)

    def convert(self, folder: Path) -> None:
        texts = [b"no", b"yes", b"maybe", b"never"] * 3
        np.save(folder / "note.npy", np.array([list(text.ljust(5, b"\0")) for text in texts], dtype=np.uint8))
        np.save(folder / "targets.npy", np.arange(12) % 2)

    def split(self) -> Split:
        return Split(np.arange(4), np.arange(4, 8), np.arange(8, 12))

    def load_memory(self) -> None:
        super().load_memory()
        if self.wrong:
            self.tensors["note"] = self.tensors["note"].float()


def test_texts_of_an_own_dataset_are_an_array_of_bytes(tmp_path: Path) -> None:
    data = Notes(tmp_path)
    data.prepare_data()
    data.setup()
    assert data.batch(np.array([1, 0])).inputs["note"].tolist() == [[121, 101, 115, 0, 0], [110, 111, 0, 0, 0]]
    assert data.tensors["note"].dtype == torch.uint8


def test_texts_that_are_no_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'note' is float32 .* text inputs are uint8"):
        Notes(tmp_path, wrong=True).setup()


def test_the_view_is_a_suites_to_name() -> None:
    assert IMDB.views["text_ngrams"] == {"text": "text", "ngrams": "bag"}
