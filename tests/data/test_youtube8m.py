from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from youtube8m_folder import NAMES, SHARDS, Videos, left_over, made, ready, write

from fusionbench.core.errors import UserError
from fusionbench.data.youtube8m import YouTube8M

REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="the real shards: set FUSIONBENCH_TEST_DATA to their folder")
REAL_SHARDS = {"train": "validate 0-19", "validation": "validate 20-23", "test": "validate 24-29"}


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    found = made(NAMES)
    write(tmp_path, found)
    return found


def test_batches_hold_what_the_shards_do(tmp_path: Path, videos: Videos) -> None:
    data = ready(tmp_path)
    flat = [one for name in NAMES for one in videos[name]]
    rows = np.random.default_rng(0).permutation(len(flat))
    batch = data.batch(rows)
    assert batch.ids.tolist() == rows.tolist()
    assert batch.targets.shape == (15, 3862)
    for place, row in enumerate(rows):
        assert batch.inputs["rgb"][place].tolist() == flat[row]["mean_rgb"]
        assert batch.inputs["audio"][place].tolist() == flat[row]["mean_audio"]
        assert batch.targets[place].nonzero().flatten().tolist() == sorted(set(flat[row]["labels"]))
        assert data.arrays["ids"][row] == flat[row]["id"][0]
    assert all(batch.present[name].all() for name in ("rgb", "audio"))
    assert set(batch.targets.flatten().tolist()) == {0.0, 1.0}


def test_the_parts_are_the_shards_that_the_option_names(tmp_path: Path, videos: Videos) -> None:
    parts = ready(tmp_path).parts
    assert parts is not None
    assert parts.train.tolist() == list(range(6))
    assert parts.validation.tolist() == [6, 7, 8]
    assert parts.test.tolist() == list(range(9, 15))


def test_another_split_of_the_same_shards_shares_the_arrays(tmp_path: Path, videos: Videos) -> None:
    first = ready(tmp_path)
    other = ready(tmp_path, shards={"train": "validate 0,5", "validation": "validate 2", "test": "validate 1,3"})
    assert first.fingerprint == other.fingerprint
    assert len(left_over(tmp_path)) == 1
    assert other.parts is not None
    assert other.parts.train.tolist() == [0, 1, 2, 12, 13, 14]


def test_a_batch_without_a_label_is_all_zeros(tmp_path: Path, videos: Videos) -> None:
    data = ready(tmp_path)
    assert data.batch(np.array([1])).targets.sum() == 0
    assert data.batch(np.zeros(0, dtype=np.int64)).targets.shape == (0, 3862)


def test_converted_data_outlive_their_shards(tmp_path: Path, videos: Videos) -> None:
    before = ready(tmp_path).fingerprint
    for path in (tmp_path / "youtube8m" / "video").iterdir():
        path.unlink()
    assert ready(tmp_path).fingerprint == before


def test_a_shard_that_changes_is_converted_anew(tmp_path: Path, videos: Videos) -> None:
    before = ready(tmp_path).fingerprint
    videos["validate0002"][0]["labels"] = [5]
    write(tmp_path, videos)
    assert ready(tmp_path).fingerprint != before


def test_the_fingerprint_is_of_contents_whatever_the_files_are_called(tmp_path: Path, videos: Videos) -> None:
    before = ready(tmp_path).fingerprint
    here, there = (root / "youtube8m" / "video" for root in (tmp_path, tmp_path / "other"))
    there.mkdir(parents=True)
    for name, letters in zip(NAMES, ("aa", "ab", "ac", "ad", "af"), strict=True):
        (here / f"{name}.tfrecord").rename(there / f"validate{letters}.tfrecord")
    assert ready(tmp_path / "other").fingerprint == before


def test_official_partitions_hold_validation_out_of_train_by_seed(tmp_path: Path) -> None:
    subset = "9/400"
    names = [shard.name for shard in YouTube8M(tmp_path, subset=subset).wanted]
    train = [name for name in names if name.startswith("train")]
    test = [name for name in names if name.startswith("validate")]
    assert len(train) > 3
    assert test
    write(tmp_path, made(names))
    held = set()
    for seed in range(4):
        data = YouTube8M(tmp_path, seed, subset=subset)
        data.prepare_data()
        data.setup()
        assert data.parts is not None
        assert data.parts.test.tolist() == list(range(3 * len(train), 3 * len(names)))
        both = np.concatenate([data.parts.train, data.parts.validation])
        assert sorted(both.tolist()) == list(range(3 * len(train)))
        # Whole shards: three rows each.
        assert len(data.parts.validation) % 3 == 0
        held.add(tuple(data.parts.validation))
    assert len(held) > 1


def test_class_names_are_kept_with_the_arrays(tmp_path: Path, videos: Videos) -> None:
    vocabulary = tmp_path / "youtube8m" / "vocabulary.csv"
    with vocabulary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Index", "KnowledgeGraphId", "Name"])
        writer.writerows([index, f"/m/{index}", f'a "name", {index}' if index else ""] for index in range(3862))
    data = ready(tmp_path)
    vocabulary.unlink()
    assert len(data.class_names) == 3862
    assert data.class_names[:2] == ("/m/0", 'a "name", 1')


def test_no_vocabulary_is_no_names_and_a_wrong_one_is_refused(tmp_path: Path, videos: Videos) -> None:
    assert ready(tmp_path).class_names == ()
    (tmp_path / "youtube8m" / "vocabulary.csv").write_text("Index,Name\n0,Game\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"vocabulary\.csv: not the vocabulary of 3862 classes"):
        ready(tmp_path, shards=SHARDS | {"test": "validate 3"})


def test_a_plain_trainer_fits_it(tmp_path: Path, videos: Videos) -> None:
    from lightning import Trainer

    from fusionbench.fusion.base import Setting
    from fusionbench.fusion.concat import ConcatFusion
    from fusionbench.plan.suite import Choice

    data = YouTube8M(tmp_path, batch_size=3, shards=SHARDS)
    encoders = {name: Choice("mlp", {"width": 8, "depth": 1}) for name in data.task.names}
    module = ConcatFusion(Setting(data.task, encoders, width=8, head_width=8))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, log_every_n_steps=1, **quiet)  # type: ignore[arg-type]
    trainer.fit(module, data)
    assert 0 <= trainer.test(module, data, verbose=False)[0]["test/gap20"] <= 1


@needs_real_data
def test_the_real_shards_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "youtube8m").symlink_to(Path(REAL or "") / "youtube8m")
    data = ready(tmp_path, shards=REAL_SHARDS)
    assert data.parts is not None
    assert sum(data.parts.counts.values()) == 8908
    assert len(set(data.arrays["ids"].tolist())) == 8908
    assert data.class_names[0] == "Game"
    # The last letters of an id are those of its shard on the server: our numbers are the official ones.
    letters = {name: YouTube8M(shards=REAL_SHARDS).wanted[i].remote for i, name in enumerate(range(30))}
    for row in range(0, 8908, 50):
        assert letters[int(data.arrays["shard"][row])] == f"validate{data.arrays['ids'][row].decode()[2:]}.tfrecord"
