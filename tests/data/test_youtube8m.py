from __future__ import annotations

import csv
import json
import os
import re
import resource
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tfrecord_writer import Values, video, write_shard

from fusionbench.core.errors import UserError
from fusionbench.data.download import md5_of
from fusionbench.data.youtube8m import YouTube8M
from fusionbench.data.youtube8m_shards import Shard

SHARDS = {"train": "validate 0-1", "validation": "validate 2", "test": "validate 3,5"}
NAMES = ("validate0000", "validate0001", "validate0002", "validate0003", "validate0005")
LABELS: Sequence[list[int]] = ([3, 4, 9], [], [3861], [0, 1], [7, 7], [200, 16383 % 3862])
REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="the real shards: set FUSIONBENCH_TEST_DATA to their folder")
REAL_SHARDS = {"train": "validate 0-19", "validation": "validate 20-23", "test": "validate 24-29"}

Videos = dict[str, list[dict[str, Values]]]


def made(names: Sequence[str]) -> Videos:
    rng = np.random.default_rng(7)
    return {
        name: [video(b"%02da" % number + b"bcd"[row : row + 1], LABELS[(number + row) % 6], rng) for row in range(3)]
        for number, name in enumerate(names)
    }


def write(root: Path, videos: Mapping[str, Sequence[Mapping[str, Values]]]) -> None:
    for name, shard in videos.items():
        write_shard(root / "youtube8m" / "video" / f"{name}.tfrecord", shard)


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    found = made(NAMES)
    write(tmp_path, found)
    return found


def ready(root: Path, **options: object) -> YouTube8M:
    data = YouTube8M(root, **({"shards": SHARDS} | options))  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def left_over(root: Path) -> list[str]:
    return [path.name for path in (root / "prepared").iterdir() if path.suffix != ".lock"]


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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the library)
        """Says nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served in the place of the official site."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    module = "fusionbench.data.youtube8m_shards"
    monkeypatch.setattr(f"{module}.PLAN_URL", url + "/{partition}.json")
    monkeypatch.setattr(f"{module}.SHARD_URL", url + "/{name}")
    monkeypatch.setattr(f"{module}.VOCABULARY_URL", url + "/vocabulary.csv")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def served(videos: Videos, folder: Path) -> None:
    files = {}
    for name in videos:
        shard = Shard("validate", int(name[-4:]))
        write_shard(folder / shard.remote, videos[name])
        files[shard.remote] = md5_of(folder / shard.remote)
    (folder / "validate.json").write_text(json.dumps({"files": files}), encoding="utf-8")


def test_a_download_and_a_local_folder_have_one_fingerprint(tmp_path: Path, videos: Videos, site: Path) -> None:
    served(videos, site)
    assert ready(tmp_path / "fetched").fingerprint == ready(tmp_path).fingerprint


def test_a_download_with_a_wrong_checksum_is_refused(tmp_path: Path, site: Path) -> None:
    videos = made(NAMES)
    served(videos, site)
    write_shard(site / "validateac.tfrecord", videos["validate0000"])
    root = tmp_path / "fetched"
    with pytest.raises(UserError, match=r"validateac\.tfrecord: wrong checksum: MD5 .*fusionbench prepare youtube8m"):
        ready(root)
    found = sorted(path.name for path in (root / "youtube8m" / "video").glob("*"))
    assert [name for name in found if not name.startswith(".")] == ["validate0000.tfrecord", "validate0001.tfrecord"]
    assert not (root / "prepared").exists()


def test_missing_shards_are_named_with_both_ways_to_get_them(
    tmp_path: Path, videos: Videos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionbench.data.youtube8m_shards.PLAN_URL", "http://127.0.0.1:1/{partition}.json")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    folder = tmp_path / "youtube8m" / "video"
    (folder / "validate0001.tfrecord").unlink()
    data = YouTube8M(tmp_path, shards=SHARDS)
    for step in (data.setup, data.prepare_data):
        with pytest.raises(UserError) as caught:
            step()
        told = str(caught.value)
        assert "fusionbench prepare youtube8m" in told
        assert f"validate0001.tfrecord ({folder})" in told
        assert len(told.splitlines()) <= 2
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign"])
def test_a_damaged_shard_is_named_and_nothing_is_left(tmp_path: Path, videos: Videos, damage: str) -> None:
    path = tmp_path / "youtube8m" / "video" / "validate0003.tfrecord"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[5000] ^= 4
    path.write_bytes({"cut": good[:-3], "flip": bytes(flipped), "foreign": b"not a TFRecord at all"}[damage])
    with pytest.raises(UserError, match=rf"^{path}: byte \d+: ") as caught:
        ready(tmp_path)
    assert len(str(caught.value).splitlines()) <= 2
    assert left_over(tmp_path) == []
    path.write_bytes(good)
    assert ready(tmp_path).fingerprint


def test_a_full_disk_while_converting_leaves_nothing_half_written(tmp_path: Path, videos: Videos) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"File too large while converting youtube8m \(\d+ MiB free\); make room"):
            ready(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_over(tmp_path) == []
    assert ready(tmp_path).fingerprint


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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shards": {"train": "validate 0"}}, "option shards: validation and test missing"),
        ({"shards": {"trian": "validate 0"}}, "no part 'trian'; did you mean 'train'"),
        ({"shards": SHARDS | {"test": "validate 1"}}, "validate0001 is in train and in test"),
        ({"shards": SHARDS | {"test": "valid 1"}}, "option shards.test: no partition 'valid'; did you mean 'validate'"),
        ({"subset": "0/3"}, "option subset: '0/3' is no X/Y"),
    ],
)
def test_wrong_options_are_told_in_one_line(tmp_path: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)) as caught:
        YouTube8M(tmp_path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_part_without_a_video_is_refused(tmp_path: Path, videos: Videos) -> None:
    write(tmp_path, {"validate0002": []})
    with pytest.raises(UserError, match="no video is left for validation"):
        ready(tmp_path)


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
