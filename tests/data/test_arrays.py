"""Arrays of the user's own, as a dataset: read back as they were, to one scale, whole groups together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusionbench.core.errors import UserError
from fusionbench.data.array_files import VALIDATION, contents_of, strata
from fusionbench.data.array_files import write as write_files
from fusionbench.data.arrays import Arrays
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.store import fingerprint_of

ROWS = 60
COLUMNS = {"numbers": "vector", "pictures": "image", "sound": "sequence", "words": "tokens", "raw": "text"}
TEXTS = [f"row {i} of them{' and more' * (i % 3)}" for i in range(ROWS)]


def some(**changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    counts = 1 + np.arange(ROWS) % 4
    joined = "".join(TEXTS).encode()
    starts = np.cumsum([0, *(len(text.encode()) for text in TEXTS)])
    test = np.zeros(ROWS, dtype=bool)
    test[::5] = True
    found: dict[str, np.ndarray] = {
        "numbers": rng.normal(5, 3, size=(ROWS, 3)),
        "pictures": rng.integers(256, size=(ROWS, 2, 5, 4), dtype=np.uint8),
        "sound": rng.normal(size=(counts.sum(), 2)).astype(np.float32),
        "sound.offsets": np.cumsum([0, *counts]),
        "words": np.frombuffer(joined, dtype=np.uint8),
        "words.offsets": starts,
        "words.vocabulary": np.array([60]),
        "raw": np.frombuffer(joined, dtype=np.uint8),
        "raw.offsets": starts,
        "targets": np.arange(ROWS) % 3,
        "targets.names": np.array(["a", "b", "c"]),
        "rows.test": test,
    }
    return found | changes


def write(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    contents = contents_of(arrays)
    write_files(folder, contents, arrays)
    return contents


def opened(folder: Path, arrays: dict[str, np.ndarray], columns: dict[str, str] = COLUMNS, **options: Any) -> Arrays:
    data = Arrays(folder, options.pop("seed", 0), 16, contents=write(folder, arrays), columns=columns, **options)
    data.prepare_data()
    data.setup()
    return data


def test_every_kind_is_read_back_as_it_was(tmp_path: Path) -> None:
    arrays = some()
    data = opened(tmp_path, arrays)
    assert data.parts is not None
    assert data.fingerprint == data.contents == fingerprint_of(arrays)
    assert [(m.name, m.kind, m.shape) for m in data.task.modalities] == [
        ("numbers", "vector", (3,)),
        ("pictures", "image", (2, 5, 4)),
        ("raw", "text", (max(map(len, TEXTS)),)),
        ("sound", "sequence", (4, 2)),
        ("words", "tokens", (256,)),
    ]
    rows = data.parts.test
    batch = data.batch(rows)
    train = data.parts.train
    numbers = (arrays["numbers"][rows] - arrays["numbers"][train].mean(0)) / arrays["numbers"][train].std(0)
    np.testing.assert_allclose(batch.inputs["numbers"], numbers, atol=1e-5)
    pixels = arrays["pictures"].astype(float)
    channels = pixels[train].mean((0, 2, 3))[:, None, None], pixels[train].std((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(batch.inputs["pictures"], (pixels[rows] - channels[0]) / channels[1], atol=1e-4)
    for place, row in enumerate(rows):
        assert bytes(batch.inputs["raw"][place][batch.masks["raw"][place]].numpy()).decode() == TEXTS[row]
    assert batch.targets.tolist() == arrays["targets"][rows].tolist()
    assert batch.ids.tolist() == rows.tolist()


def test_the_steps_of_sequences_are_to_one_scale_over_real_training_steps(tmp_path: Path) -> None:
    arrays = some()
    data = opened(tmp_path, arrays)
    assert data.parts is not None
    starts = arrays["sound.offsets"]
    steps = np.concatenate([arrays["sound"][starts[row] : starts[row + 1]] for row in data.parts.train])
    batch = data.batch(data.parts.train)
    x, mask = batch.inputs["sound"], batch.masks["sound"]
    np.testing.assert_allclose(x[mask], (steps - steps.mean(0)) / steps.std(0), atol=1e-5)
    assert (x[~mask] == 0).all()
    assert mask.sum(1).tolist() == np.diff(starts)[data.parts.train].tolist()


def test_subwords_are_found_in_the_training_rows_alone_and_are_each_seeds_own(tmp_path: Path) -> None:
    def with_test_texts(word: str) -> Arrays:
        texts = [word if i % 5 == 0 else text for i, text in enumerate(TEXTS)]
        joined = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
        starts = np.cumsum([0, *map(len, texts)])
        return opened(tmp_path, some(**{"words": joined, "words.offsets": starts}), {"words": "tokens"})

    a, b = with_test_texts("zebra"), with_test_texts("quagga")
    assert a.parts is not None
    rows = a.parts.train
    assert torch.equal(a.batch(rows).inputs["words"], b.batch(rows).inputs["words"])
    assert int(a.batch(a.parts.test).inputs["words"].max()) < a.task.modalities[0].vocabulary  # type: ignore[operator]
    other = opened(tmp_path, some(), {"words": "tokens"}, seed=1)
    folders = list((tmp_path / "prepared").glob("arrays_pieces-*[0-9a-f]"))
    assert len([folder for folder in folders if folder.is_dir()]) == 3
    assert other.batch(rows).masks["words"].any(1).all()


def test_of_a_longer_text_the_first_subwords_are_read(tmp_path: Path) -> None:
    whole = opened(tmp_path, some(), {"words": "tokens"})
    short = opened(tmp_path, some(), {"words": "tokens"}, length=3)
    rows = np.arange(ROWS)
    assert short.batch(rows).inputs["words"].shape == (ROWS, 3)
    assert torch.equal(short.batch(rows).inputs["words"], whole.batch(rows).inputs["words"][:, :3])
    with pytest.raises(UserError, match="option length: 0 is not at least 1"):
        Arrays(tmp_path, contents="", columns={}, length=0)


def test_the_test_rows_never_move_and_an_eighth_of_the_others_is_drawn(tmp_path: Path) -> None:
    first, second = (opened(tmp_path, some(), {"numbers": "vector"}, seed=seed).parts for seed in (0, 1))
    assert first is not None
    assert second is not None
    assert first.test.tolist() == second.test.tolist() == list(range(0, ROWS, 5))
    assert first.validation.tolist() != second.validation.tolist()
    assert len(first.validation) == round(VALIDATION * 16) * 3


def test_rows_of_one_group_stay_together_and_are_resampled_together(tmp_path: Path) -> None:
    groups = np.arange(ROWS) // 5 * 10
    test = np.isin(groups, [0, 50])
    data = opened(tmp_path, some(**{"rows.groups": groups, "rows.test": test}), {"numbers": "vector"})
    assert data.parts is not None
    parts = [set(groups[rows]) for rows in (data.parts.train, data.parts.validation, data.parts.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12
    found = data.groups(data.parts.test)
    assert found is not None
    assert found.tolist() == groups[data.parts.test].tolist()


def test_batches_are_of_like_length_only_where_lengths_differ(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path, some(), {"sound": "sequence"}).train_order(), LengthBuckets)
    assert isinstance(opened(tmp_path, some(), {"words": "tokens"}).train_order(), LengthBuckets)
    assert not isinstance(opened(tmp_path, some(), {"numbers": "vector"}).train_order(), LengthBuckets)
    data = opened(tmp_path, some())
    lengths = data.stored.step_counts()
    assert lengths is not None
    words = np.diff(data.stored.pieces["words"]["offsets"])
    assert lengths.tolist() == (1 + np.arange(ROWS) % 4 + words + [len(text) for text in TEXTS]).tolist()


def test_labels_are_given_without_reading_a_sample(tmp_path: Path) -> None:
    data = opened(tmp_path, some())
    batch = data.labels(np.array([3, 4]))
    assert (batch.inputs, batch.targets.tolist(), set(batch.present)) == ({}, [0, 1], set(COLUMNS))


def test_several_labels_are_multilabel(tmp_path: Path) -> None:
    targets = np.eye(4, dtype=np.float32)[np.arange(ROWS) % 4]
    data = opened(tmp_path, some(targets=targets), {"numbers": "vector"}, kind="multilabel")
    assert (data.task.classes, data.task.kind, data.task.metric) == (4, "multilabel", "gap20")


def test_a_rows_class_in_a_split_is_the_rarest_of_its_labels() -> None:
    assert strata(np.array([2, 0])).tolist() == [2, 0]
    assert strata(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [1, 1, 0]])).tolist() == [1, 0, -1, 2, 1]


def test_numbers_to_predict_keep_their_digits_and_their_spread_in_every_part(tmp_path: Path) -> None:
    targets = np.linspace(0, 1, ROWS)[:, None] ** 3
    data = opened(tmp_path, some(targets=targets), {"numbers": "vector"}, kind="regression")
    assert (data.task.classes, data.task.kind, data.task.metric) == (1, "regression", "r2")
    assert torch.equal(data.batch(np.arange(ROWS)).targets, torch.from_numpy(targets))
    assert np.bincount(strata(targets)).tolist() == [10] * 6
    assert np.bincount(strata(np.linspace(0, 1, 1000)[:, None])).tolist() == [100] * 10


def test_contents_that_are_not_there_name_the_way_out(tmp_path: Path) -> None:
    data = Arrays(tmp_path, contents="ab" * 32, columns={"numbers": "vector"})
    with pytest.raises(UserError, match=r"arrays: contents abababababab are not in .*; call fusionbench.compare with"):
        data.prepare_data()


def test_the_same_arrays_are_written_once(tmp_path: Path) -> None:
    write(tmp_path, some())
    (folder,) = (path for path in (tmp_path / "prepared").iterdir() if path.is_dir())
    before = folder.stat().st_mtime_ns
    assert write(tmp_path, some()) == write(tmp_path, some())
    assert folder.stat().st_mtime_ns == before
    changed = some()
    changed["numbers"][0, 0] += 1e-9
    assert write(tmp_path, changed) != write(tmp_path, some())
