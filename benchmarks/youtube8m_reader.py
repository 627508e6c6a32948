"""YouTube-8M records per second on one core: shards parsed, converted, and random batches of the converted arrays.

    parsed      every shard read whole into arrays, every checksum checked; files in the page cache
    tfrecord    the same records through PyPI's `tfrecord`, if it is installed (it checks no checksums)
    converted   from shards to fingerprinted .npy files in a temporary folder, flushed to disk
    gathered    random rows of rgb and audio from the memory maps, in the page cache, as float32 arrays
    batches     the same as whole MultimodalBatches, with their dense (B, 3862) float32 targets

Every figure is the median over rounds, by the clock and by the CPU time used (which other work on the core disturbs
less). The shards have to be there, e.g. by `fusionbench prepare youtube8m`.

    python benchmarks/youtube8m_reader.py --data DIR [--shards "validate 0-29"] [--batch 1024] [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fusionbench.core.errors import UserError
from fusionbench.data.splits import Rows
from fusionbench.data.store import data_root
from fusionbench.data.youtube8m import YouTube8M
from fusionbench.data.youtube8m_records import read_video_shard
from fusionbench.data.youtube8m_shards import parse_shards, refuse_missing

DESCRIPTION = {"id": "byte", "labels": "int", "mean_rgb": "float", "mean_audio": "float"}


class Rate(NamedTuple):
    """Records per second."""

    clock: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.clock:12,.0f} by the clock {self.cpu:12,.0f} by CPU time"


def rate(work: Callable[[], int], rounds: int) -> Rate:
    """`work` does some records and says how many: the median over rounds, after one that warms up."""
    work()
    rates = []
    for _ in range(rounds):
        clock, cpu = time.perf_counter(), time.process_time()
        count = work()
        rates.append((count / (time.perf_counter() - clock), count / (time.process_time() - cpu)))
    return Rate(*(statistics.median(column) for column in zip(*rates, strict=True)))


def with_tfrecord(paths: Sequence[Path], rounds: int) -> Rate | None:
    """Records per second of PyPI's `tfrecord`; None if it is not installed."""
    if importlib.util.find_spec("tfrecord") is None:
        return None
    read = importlib.import_module("tfrecord.reader").tfrecord_loader
    return rate(lambda: sum(1 for path in paths for _ in read(str(path), None, DESCRIPTION)), rounds)


def converted(data: YouTube8M) -> int:
    """One conversion into a folder of its own, from links to the same shards."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "youtube8m").symlink_to(data.folder.parent.resolve())
        other = YouTube8M(folder)
        other.named = data.named
        other.prepare_data()
        other.setup()
        return len(other.arrays["rgb"])


def over_batches(gather: Callable[[Rows], object], count: int, batch: int) -> Callable[[], int]:
    """One pass over all whole batches of a new random order."""
    rng = np.random.default_rng(0)

    def work() -> int:
        order = rng.permutation(count)
        for start in range(0, count - batch + 1, batch):
            gather(order[start : start + batch])
        return count // batch * batch

    return work


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", help="the data folder: holds youtube8m/video/*.tfrecord")
    options.add_argument("--shards", default="validate 0-29", help="which of them, as in a suite")
    options.add_argument("--batch", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    data = YouTube8M(data_root(chosen.data))
    shards = parse_shards(chosen.shards, "--shards")
    refuse_missing(data.folder, shards)
    # Only the rows are of interest here, so one part holds them all.
    data.named = {"train": shards[:-2], "validation": shards[-2:-1], "test": shards[-1:]}
    paths = [path for shard in shards if (path := shard.find(data.folder)) is not None]

    parsed = rate(lambda: sum(len(read_video_shard(path).ids) for path in paths), chosen.rounds)
    print(f"parsed     {parsed}, {len(paths)} shards")
    other = with_tfrecord(paths, chosen.rounds)
    ratio = "not installed" if other is None else f"{other}: parsed is {parsed.cpu / other.cpu:.1f} times as fast"
    print(f"tfrecord   {ratio}")
    print(f"converted  {rate(lambda: converted(data), chosen.rounds)}")

    data.prepare_data()
    data.setup()
    count, names = len(data.arrays["rgb"]), data.task.names

    def gather(rows: Rows) -> object:
        return [data.arrays[name].take(rows, axis=0) for name in names]

    print(f"gathered   {rate(over_batches(gather, count, chosen.batch), chosen.rounds)}, batches of {chosen.batch}")
    print(f"batches    {rate(over_batches(data.batch, count, chosen.batch), chosen.rounds)}, batches of {chosen.batch}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
