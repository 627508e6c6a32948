"""Shards made by benchmarks/official_size.py are true to the format; converting more of them takes no more memory."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tfrecord_writer import example, frame

from fusionbench.data.youtube8m import YouTube8M
from fusionbench.data.youtube8m_records import CLASSES, read_video_shard

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "official_size.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("official_size", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["official_size"] = found
    spec.loader.exec_module(found)
    return found


def test_a_made_up_record_is_what_protobuf_and_the_bitwise_checksum_write(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    rgb, audio = (rng.standard_normal(size).astype(np.float32) for size in (1024, 128))
    features = {"id": [b"00000af"], "labels": [3, 200, 3861], "mean_rgb": rgb.tolist(), "mean_audio": audio.tolist()}
    frameless = b"\x12\x00"  # As published ones: a SequenceExample whose frames are none.
    assert script.record(b"00000af", [3, 200, 3861], rgb, audio) == frame(example(features) + frameless)


def test_shards_have_official_sizes_and_all_videos(script: ModuleType, tmp_path: Path) -> None:
    assert [sum(script.sizes_of(count)) for count in (1, 287, 1000, 1_100_000)] == [1, 287, 1000, 1_100_000]
    official = script.sizes_of(1_100_000)
    assert (len(official), min(official), max(official)) == (3844, 286, 287)
    (path := tmp_path / "validate0000.tfrecord").write_bytes(script.Videos().shard(300, 7))
    found = read_video_shard(path)
    assert found.ids[[0, -1]].tolist() == [b"0000007", b"0000132"]
    assert 2 < found.counts.mean() < 3.5
    assert found.counts.min() == 1
    assert found.labels.max() < CLASSES
    assert np.abs(found.rgb.std() - 0.6) < 0.2


def test_converting_four_times_as_many_shards_takes_no_more_memory(script: ModuleType, tmp_path: Path) -> None:
    few, many = (converting(script, tmp_path / str(count), count) for count in (6, 24))
    assert few < 2**25  # One shard, or a piece of 2^24 bytes whose hash is taken.
    assert abs(many - few) < 2**20


def converting(script: ModuleType, root: Path, shards: int) -> int:
    """The most bytes that were held at once."""
    script.write_shards(root / "youtube8m" / "video", 286 * (shards - 2))
    parts = {"train": "train 0", "validation": "train 1", "test": f"validate 0-{shards - 3}"}
    data = YouTube8M(root, shards=parts)
    tracemalloc.start()
    data.prepare_data()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    data.setup()
    assert data.parts is not None
    assert len(data.parts.test) == 286 * (shards - 2)
    return peak
