from __future__ import annotations

import json
import re
import resource
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tfrecord_writer import Values, example, frame, write_shard
from youtube8m_folder import NAMES, SHARDS, Videos, left_over, made, ready, write

from fusionbench.core.errors import UserError
from fusionbench.data.download import md5_of
from fusionbench.data.youtube8m import YouTube8M
from fusionbench.data.youtube8m_shards import Shard, in_subset


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    found = made(NAMES)
    write(tmp_path, found)
    return found


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
    with pytest.raises(
        UserError, match=r"validateac\.tfrecord: wrong checksum: MD5 .*\n.*fusionbench prepare youtube8m"
    ):
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
        assert f"1 shards of YouTube-8M are not in {folder}: validate0001" in told
        assert "put your own copies there, named validate0001.tfrecord" in told
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
    other = next(half for half in (1, 2) if not in_subset(Shard("validate", 2), (half, 2)))
    with pytest.raises(UserError, match=r"no video is left for (.* and )?validation"):
        ready(tmp_path, subset=f"{other}/2")


def test_a_shard_of_no_bytes_among_others_is_refused(tmp_path: Path, videos: Videos) -> None:
    path = tmp_path / "youtube8m" / "video" / "validate0001.tfrecord"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"^{path}: byte 0: holds no record; .* fetch it again$"):
        ready(tmp_path)
    assert left_over(tmp_path) == []


FRAME: dict[str, Values] = {"id": [b"abcd"], "labels": [1]}
SEGMENT: dict[str, Values] = {"segment_labels": [1], "segment_start_times": [5], "segment_scores": [1.0]}
MEANS: dict[str, Values] = {"mean_rgb": [0.5] * 1024, "mean_audio": [0.5] * 128}
OTHERS: dict[str, tuple[dict[str, Values], bytes, str]] = {
    "frames": (FRAME, b"\x12\x02\x0a\x00", "a frame-level record"),
    "frames of 2017": ({"video_id": [b"abcd"], "labels": [1]}, b"\x12\x02\x0a\x00", "a frame-level record"),
    "segments": ({**FRAME, **SEGMENT}, b"", r"a record of segments \(2019\), frame level"),
    "2017": ({"video_id": [b"abcd"], "labels": [1], **MEANS}, b"", "a record of the version of 2016 or 2017"),
    "classes of 2017": (FRAME | MEANS | {"labels": [4715]}, b"", r"label 4715 is not .*another version has 4716"),
    "no labels": (FRAME | MEANS | {"labels": []}, b"", "no record has a label, as in the official test partition"),
    "short": (FRAME | MEANS | {"mean_rgb": [0.5] * 1023}, b"", "no mean_rgb of 1024 floats"),
    "another dataset": (
        {"image": [b"x"], "label": [1]},
        b"",
        "no record of YouTube-8M: its features are 'image, label",
    ),
    "nothing": ({}, b"", "no record of YouTube-8M: its features are 'none'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_level_version_or_vocabulary_is_called_that(
    tmp_path: Path, videos: Videos, name: str
) -> None:
    features, frames, told = OTHERS[name]
    path = tmp_path / "youtube8m" / "video" / "validate0003.tfrecord"
    path.write_bytes(frame(example(features) + frames))
    with pytest.raises(UserError, match=rf"^{path}: byte \d+: {told}.*put the video-level shard of 2018") as caught:
        ready(tmp_path)
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("classes", "told"), [(4716, "it has 4716, as another version's"), (7, "columns Index, Name")])
def test_a_vocabulary_of_another_version_is_called_that(
    tmp_path: Path, videos: Videos, classes: int, told: str
) -> None:
    rows = "".join(f"{index},class {index}\n" for index in range(classes))
    (tmp_path / "youtube8m" / "vocabulary.csv").write_text(f"Index,Name\n{rows}", encoding="utf-8")
    with pytest.raises(UserError, match=rf"vocabulary.csv: not the vocabulary of 3862 classes \({told}\); copy"):
        ready(tmp_path)


def test_files_that_an_operating_system_adds_are_not_looked_at(tmp_path: Path, videos: Videos) -> None:
    before = ready(tmp_path).fingerprint
    for name in (".DS_Store", "._validate0001.tfrecord", "Thumbs.db", "._validateab.tfrecord"):
        (tmp_path / "youtube8m" / "video" / name).write_bytes(b"\0\5\x16\7")
    assert ready(tmp_path).fingerprint == before
