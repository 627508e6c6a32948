from __future__ import annotations

import hashlib
import itertools
import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfrecord_writer import example, frame, video, write_shard

from fusionbench.core.errors import UserError
from fusionbench.data.tfrecord import record_spans
from fusionbench.data.youtube8m_records import _published_layout, read_video_shard
from fusionbench.data.youtube8m_shards import (
    Shard,
    download_shards,
    in_subset,
    parse_shards,
    parse_subset,
    partition_shards,
    read_plan,
)

MD5 = "0123456789abcdef0123456789ABCDEF"
RNG = np.random.default_rng(3)
VIDEO = video(b"02aa", [3, 4, 3861], RNG)
FEATURES = ("id", "labels", "mean_rgb", "mean_audio")


def test_numbers_and_letters_are_those_of_the_official_script() -> None:
    letters = string.ascii_lowercase + string.ascii_uppercase + string.digits
    official = ["".join(pair) for pair in itertools.product(letters, repeat=2)]
    shards = partition_shards("train", (1, 1))
    assert [shard.remote for shard in shards] == [f"train{pair}.tfrecord" for pair in official]
    assert shards[62].name == "train0062"
    assert shards[62].remote == "trainba.tfrecord"
    assert len(shards) == 3844


def test_a_subset_is_taken_by_the_md5_of_the_servers_name() -> None:
    digest = hashlib.md5(b"validateah.tfrecord", usedforsecurity=False).hexdigest()
    part = int(digest, 16) % 10 + 1
    assert in_subset(Shard("validate", 7), (part, 10))
    assert not in_subset(Shard("validate", 7), (part % 10 + 1, 10))
    tenths = [partition_shards("validate", (part, 10)) for part in range(1, 11)]
    assert sorted(itertools.chain(*tenths)) == list(partition_shards("validate", (1, 1)))


def test_shards_are_named_by_numbers_and_ranges() -> None:
    assert [shard.name for shard in parse_shards("train 7, 2-4,3", "here")] == [
        "train0002",
        "train0003",
        "train0004",
        "train0007",
    ]


@pytest.mark.parametrize(
    "text", ["train", "train x", "train 4-2", "train 3844", "train 1,", "train -1", "train 1-2-3", "train 9999999"]
)
def test_what_names_no_shards_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^here: '.*' is no number or range a-b within 0-3843"):
        parse_shards(text, "here")


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2"])
def test_what_is_no_subset_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^here: '.*' is no X/Y"):
        parse_subset(text, "here")


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_plan_is_read_bare_or_under_files(tmp_path: Path, wrapped: bool) -> None:
    files = {"trainaa.tfrecord": MD5}
    (tmp_path / "plan.json").write_text(json.dumps({"files": files} if wrapped else files))
    assert read_plan(tmp_path / "plan.json") == files


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "3", '{"a": 3}', '{"a": "short"}', '{"files": []}', "<html>", "[" * 100_000]
)
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=r"plan\.json: no download plan .*remove it"):
        read_plan(tmp_path / "plan.json")


def test_only_missing_shards_are_downloaded_each_with_its_checksum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONBENCH_YOUTUBE8M_MIRROR", "eu")
    folder = tmp_path / "video"
    write_shard(folder / "train0001.tfrecord", [VIDEO])
    calls: list[tuple[str, str | None]] = []

    def fetcher(url: str, target: Path, *, md5: str | None = None, **_: Any) -> Path:
        calls.append((url, md5))
        target.parent.mkdir(parents=True, exist_ok=True)
        plan = {"files": {"trainaa.tfrecord": MD5, "trainac.tfrecord": MD5[::-1]}}
        target.write_text(json.dumps(plan) if target.suffix == ".json" else "")
        return target

    download_shards(folder, parse_shards("train 0-2", ""), fetcher)
    assert calls == [
        ("http://data.yt8m.org/2/download_plans/video_train.json", None),
        ("http://eu.data.yt8m.org/2/video/train/trainaa.tfrecord", MD5),
        ("http://eu.data.yt8m.org/2/video/train/trainac.tfrecord", MD5[::-1]),
        ("https://research.google.com/youtube8m/csv/2/vocabulary.csv", None),
    ]
    assert sorted(path.name for path in folder.iterdir()) == [f"train000{n}.tfrecord" for n in range(3)]
    # In a pipe: one line per file.
    assert len(capsys.readouterr().err.splitlines()) == 2
    calls.clear()
    download_shards(folder, parse_shards("train 0-2", ""), fetcher)
    assert calls == []


def test_a_mirror_that_is_none_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONBENCH_YOUTUBE8M_MIRROR", "asi")
    with pytest.raises(UserError, match=r"FUSIONBENCH_YOUTUBE8M_MIRROR.*did you mean 'asia'"):
        download_shards(tmp_path, parse_shards("train 0-2", ""))


@pytest.mark.parametrize("order", list(itertools.permutations(FEATURES)))
def test_features_may_stand_in_any_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    data = example({name: VIDEO[name] for name in order})
    # The first as protobuf writes it, the second with the empty field that the published files end in.
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(data) + frame(data + b"\x12\x00"))
    buffer = path.read_bytes()
    assert all(_published_layout(buffer, span) for span in record_spans(buffer, path))
    _is_video(path, 2)


@pytest.mark.parametrize(
    "data",
    [
        example(VIDEO, packed=False),
        example(VIDEO) + b"\x12\x00\x12\x00",
        example({"other": [1.0], **VIDEO}),
        b"".join(example({name: VIDEO[name]}) for name in FEATURES),
        example({"labels": [5]}) + example(VIDEO),
    ],
    ids=["unpacked", "unknown fields", "another feature", "in pieces", "named twice"],
)
def test_a_record_written_in_another_way_is_read_the_same(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(data) + frame(example(VIDEO)))
    buffer = path.read_bytes()
    assert _published_layout(buffer, record_spans(buffer, path)[0]) is None
    _is_video(path, 2)


def _is_video(path: Path, count: int) -> None:
    shard = read_video_shard(path)
    assert shard.ids.tolist() == [b"02aa"] * count
    assert shard.labels.tolist() == [3, 4, 3861] * count
    assert shard.counts.tolist() == [3] * count
    assert shard.rgb.tolist() == [VIDEO["mean_rgb"]] * count
    assert shard.audio.tolist() == [VIDEO["mean_audio"]] * count


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": [3862]}, "label 3862 is not in 0 .. 3861"),
        ({"labels": [-1]}, "label -1 is not in 0 .. 3861"),
        ({"labels": [1.5]}, "labels are no list of integers"),
        ({"id": []}, "a record without one id"),
        ({"id": [b"x" * 17]}, "a record without one id"),
        ({"mean_rgb": [0.5] * 1023}, "no mean_rgb of 1024 floats"),
        ({"mean_audio": [1] * 128}, "no mean_audio of 128 floats"),
        ({"mean_audio": [float("nan")] * 128}, "mean_audio holds a value that is not finite"),
    ],
)
def test_a_record_of_another_kind_is_named_by_its_place(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = tmp_path / "x.tfrecord"
    first = frame(example(VIDEO))
    path.write_bytes(first + frame(example({**VIDEO, **change})))
    with pytest.raises(UserError, match=f"^{path}: byte {len(first) + 12}: {told}"):
        read_video_shard(path)


def test_a_record_without_a_feature_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(example({"id": [b"abcd"]})))
    with pytest.raises(UserError, match="byte 12: no mean_rgb of 1024 floats"):
        read_video_shard(path)


def test_a_record_that_is_no_example_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(b"\x0a\x7fshort"))
    with pytest.raises(UserError, match=r"byte 12: no tf\.Example: field 1 is longer than the message"):
        read_video_shard(path)
