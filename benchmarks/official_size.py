"""Peak memory at the official size of YouTube-8M: converting a million records, testing on 1.1 million videos.

Writes shards as those of video level are (TFRecords with their checksums, as many videos each as the official ones
have), with made-up features and labels, into a temporary folder that is removed in the end: 9.5 kB a video while it
runs. Then `fusionbench prepare` and `fusionbench run` on them, with a small model trained on 2,000 videos: the test
pass with all scores, predictions and resamples is what costs.

    peak        of one process, and of all together: memory that no file holds (RssAnon), looked at 50 times a second
    --error     how far from exact `map_full` is on so many samples of 40 classes; needs no folder

    python benchmarks/official_size.py --videos 100000 1100000 [--devices 1 2] [--folder DIR]
    python benchmarks/official_size.py --error 1100000
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.data.tfrecord import BYTES_LIST, INT64_LIST, masked_crc
from fusionbench.data.youtube8m_records import (
    AUDIO,
    AUDIO_HEAD,
    CLASSES,
    NO_FRAMES,
    RGB,
    RGB_HEAD,
    encoded_length,
    head,
)
from fusionbench.data.youtube8m_shards import SHARDS

A_VIDEO = 9500
"""Bytes on the disk: its record, and its converted row."""
TRAINED = {"train0000": 1013, "train0001": 1013}
"""For training and for validation; an official train shard has as many videos on average."""
SUITE = """name: official_size
datasets: [{{name: youtube8m, options: {{shards:
  {{train: "train 0", validation: "train 1", test: "validate 0-{last}"}}}}}}]
strategies: [concat]
encoders: {{vector: {{name: linear, options: {{width: 16}}}}}}
seeds: 1
budget: {{epochs: 20, batch_size: 64, learning_rate: 1.0e-2}}
measures: [size]
"""


class Peak(NamedTuple):
    """Of the processes of one command, in MB; and how long it took."""

    one: float
    together: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.one:8,.0f} MB in one process, {self.together:8,.0f} MB in all, {self.seconds:6,.0f} s"


# --- shards -----------------------------------------------------------------------------------------------------------


def record(name: bytes, labels: Sequence[int], rgb: NDArray[np.float32], audio: NDArray[np.float32]) -> bytes:
    """A video as the published ones are: four packed features, no frames, framed with both checksums."""
    packed = b"".join(encoded_length(label) for label in labels)
    named, labelled = head(b"id", BYTES_LIST, len(name)) + name, head(b"labels", INT64_LIST, len(packed)) + packed
    values = RGB_HEAD + rgb.tobytes(), AUDIO_HEAD + audio.tobytes()
    features = b"".join((named, labelled, *values))
    data = b"\x0a" + encoded_length(len(features)) + features + NO_FRAMES
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


class Videos:
    """Made-up videos: few classes are common, and each adds a direction of its own to the features."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.directions = self.rng.standard_normal((CLASSES, RGB + AUDIO), dtype=np.float32) / 8
        chances = 1 / (10 + np.arange(CLASSES))
        self.up_to = np.cumsum(chances / chances.sum())

    def shard(self, count: int, first: int) -> bytes:
        """So many records; the videos are named by number from `first`."""
        features = self.rng.standard_normal((count, RGB + AUDIO), dtype=np.float32) / 2
        times = 1 + self.rng.poisson(2, count)
        drawn = np.minimum(np.searchsorted(self.up_to, self.rng.random(times.sum())), CLASSES - 1)
        labels = [np.unique(some) for some in np.split(drawn, np.cumsum(times)[:-1])]
        features += np.stack([self.directions[some].sum(0) for some in labels])
        names = (format(number, "07x").encode() for number in range(first, first + count))
        return b"".join(
            record(name, some.tolist(), row[:RGB], row[RGB:])
            for name, some, row in zip(names, labels, features, strict=True)
        )


def write_shards(folder: Path, videos: int) -> int:
    """Test shards of so many videos in all, of the official number each, and two to train on; how many for the test."""
    made, written = Videos(), 0
    sizes = TRAINED | {f"validate{n:04d}": size for n, size in enumerate(sizes_of(videos))}
    folder.mkdir(parents=True)
    for name, size in sizes.items():
        (folder / f"{name}.tfrecord").write_bytes(made.shard(size, written))
        written += size
    return len(sizes) - len(TRAINED)


def sizes_of(videos: int) -> list[int]:
    """Of each shard: the official validate partition has 1.1 million videos in 3,844, and no more may be in one."""
    shards = min(SHARDS, -(-videos // 286))
    return [videos * (n + 1) // shards - videos * n // shards for n in range(shards)]


# --- memory -----------------------------------------------------------------------------------------------------------


def watched(command: Sequence[str]) -> Peak:
    """Run a command to its end, and look at the memory of its processes."""
    started, peaks = time.perf_counter(), [0.0, 0.0]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda stream: said.append(stream.read()), args=(process.stderr,))
        reader.start()
        while process.poll() is None:
            held = [anonymous_mb(pid) for pid in (process.pid, *descendants(process.pid))]
            peaks = [max(peaks[0], *held), max(peaks[1], sum(held))]
            time.sleep(0.02)
        reader.join()
    if process.returncode:
        raise UserError(f"{' '.join(command)} ended with {process.returncode}:\n{said[0][-2000:]}")
    return Peak(peaks[0], peaks[1], time.perf_counter() - started)


def descendants(pid: int) -> Iterator[int]:
    """The processes below one."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text(encoding="utf-8").split()]
        except OSError:
            continue  # It has ended.
        for child in children:
            yield child
            yield from descendants(child)


def anonymous_mb(pid: int) -> float:
    """Of one process, the memory that no file holds; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon")), 0.0)


# --- what is measured -------------------------------------------------------------------------------------------------


def at_size(videos: int, devices: Sequence[int], folder: Path) -> None:
    """Make shards, convert them, and test on them; print the peaks."""
    free = shutil.disk_usage(folder).free
    if free < A_VIDEO * videos:
        raise UserError(
            f"{folder}: {free / 1e9:.1f} GB free, {A_VIDEO * videos / 1e9:.1f} GB are needed; fewer --videos"
        )
    with tempfile.TemporaryDirectory(dir=folder) as data:
        last = write_shards(Path(data) / "youtube8m" / "video", videos) - 1
        suite = Path(data) / "official_size.yaml"
        suite.write_text(SUITE.format(last=last), encoding="utf-8")
        program = (sys.executable, "-m", "fusionbench.cli")
        print(f"convert  {videos + sum(TRAINED.values()):9,} records     ", end="", flush=True)
        print(watched([*program, "prepare", str(suite), "--data", data]))
        for count in devices:
            results = Path(data) / f"results-{count}"
            options = ("--data", data, "--results", str(results), "--devices", str(count), "--workers", "1")
            print(f"test     {videos:9,} videos, {count} dev.", end="", flush=True)
            print(watched([*program, "run", str(suite), *options]))
            print(f"         {scores(results)}")


def scores(results: Path) -> str:
    """Of the one record that is there."""
    (found,) = (
        path
        for path in results.rglob("*.json")
        if "scores" in (text := path.read_text(encoding="utf-8")) and '"spec"' in text
    )
    facts = json.loads(found.read_text(encoding="utf-8"))
    return ", ".join(f"{name.removeprefix('test/')} {value!r}" for name, value in sorted(facts["scores"].items()))


def error(samples: int) -> None:
    """Of `map_full` in bins, against scikit-learn's, on logits drawn as those of common and rare classes."""
    from sklearn.metrics import average_precision_score

    from fusionbench.metrics.map_full import MAPFull

    rng, exact = np.random.default_rng(0), list[float]()
    columns, truths = list[torch.Tensor](), list[torch.Tensor]()
    for owner in range(40):
        truth = rng.random(samples) < 0.1 / (1 + 8 * owner)
        column = (rng.normal(-7, 1.5, samples) + rng.uniform(2, 6) * truth).astype(np.float32)
        exact.append(float(average_precision_score(truth, column)))
        columns.append(torch.from_numpy(column))
        truths.append(torch.from_numpy(truth))
    logits, targets, metric = torch.stack(columns, 1), torch.stack(truths, 1), MAPFull(40, exact=0)
    for first in range(0, samples, 512):
        metric.update(logits[first : first + 512], targets[first : first + 512])
    value, (low, high) = float(metric.compute()), metric.bounds
    print(
        f"map_full of {samples:,} samples: exact {np.mean(exact):.7f}, in bins {value:.7f} in {low:.6f} .. {high:.6f}"
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, nargs="+", default=[50_000], help="for the test; several: one by one")
    options.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    options.add_argument("--error", type=int, metavar="SAMPLES", help="how exact map_full is, instead")
    chosen = options.parse_args()
    if chosen.error:
        error(chosen.error)
        return
    for videos in chosen.videos:
        at_size(videos, chosen.devices, chosen.folder)


if __name__ == "__main__":
    try:
        main()
    except UserError as problem:
        sys.exit(str(problem))
