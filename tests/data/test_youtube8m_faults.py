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
from tfrecord_writer import write_shard
from youtube8m_folder import NAMES, SHARDS, Videos, left_over, made, ready, write

from fusionbench.core.errors import UserError
from fusionbench.data.download import md5_of
from fusionbench.data.youtube8m import YouTube8M
from fusionbench.data.youtube8m_shards import Shard


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
    write(tmp_path, {"validate0002": []})
    with pytest.raises(UserError, match="no video is left for validation"):
        ready(tmp_path)
