"""CIFAR-10 training pictures per second on one core: cropped, mirrored, taken apart and normalised.

    batches                  `train_batch` of random rows, all the way from the memory map to float32 views
    loader                   the same through the training loader, as a Trainer asks for it
    torchvision, transforms  v2's RandomCrop, RandomHorizontalFlip, ToDtype and Normalize of tensors, one by one
    torchvision, loader      the same of its own CIFAR10 (ToImage first) through a DataLoader without workers

Every figure is the median over rounds, by the clock and by the CPU time used (which other work on the core disturbs
less). The data have to be there, e.g. by `fusionbench prepare cifar10`.

    python benchmarks/cifar10_augmentation.py --data DIR [--batch 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from torchvision.transforms import v2

from fusionbench.core.errors import UserError
from fusionbench.data.cifar10 import CIFAR10
from fusionbench.data.orders import EpochOrder

THEIRS = 5_000
"""Pictures in a round of torchvision's."""


class Rate(NamedTuple):
    """Pictures per second."""

    clock: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.clock:10,.0f} by the clock {self.cpu:10,.0f} by CPU time"


def rate(work: Callable[[int], int], rounds: int) -> Rate:
    """`work` does some pictures in a round and says how many: the median over rounds, after one that warms up."""
    work(0)
    rates = []
    for number in range(1, rounds + 1):
        clock, cpu = time.perf_counter(), time.process_time()
        count = work(number)
        rates.append((count / (time.perf_counter() - clock), count / (time.process_time() - cpu)))
    return Rate(*(statistics.median(column) for column in zip(*rates, strict=True)))


def in_batches(data: CIFAR10, epoch: int) -> int:
    """An epoch of training batches, made directly."""
    assert data.parts is not None
    order = EpochOrder(data.parts.train, data.batch_size, data.seed)
    order.set_epoch(epoch)
    return sum(len(data.train_batch(rows, epoch)) for rows in order)


def through_the_loader(data: CIFAR10, epoch: int) -> int:
    """The same from the training loader."""
    loader = data.train_dataloader()
    assert isinstance(loader.sampler, EpochOrder)
    loader.sampler.set_epoch(epoch)
    return sum(len(batch) for batch in loader)


def transform_of(data: CIFAR10) -> Callable[[object], torch.Tensor]:
    """What torchvision does to one picture, PIL or tensor."""
    mean, std = ((x / 255).flatten().tolist() for x in (data.mean, data.std))
    moved = [v2.ToImage(), v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    made: Callable[[object], torch.Tensor] = v2.Compose(
        [*moved, v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    )
    return made


def with_transforms(data: CIFAR10, epoch: int) -> int:
    """Picture by picture, from tensors."""
    assert data.parts is not None
    transform, pictures = transform_of(data), torch.from_numpy(np.array(data.arrays["pictures"][:THEIRS]))
    rows = np.random.default_rng(epoch).permutation(THEIRS).tolist()
    for start in range(0, THEIRS, data.batch_size):
        torch.stack([transform(pictures[row]) for row in rows[start : start + data.batch_size]])
    return THEIRS


def with_a_dataloader(theirs: torch.utils.data.Dataset[object], batch_size: int, epoch: int) -> int:
    """Picture by picture, as torchvision's own dataset gives them."""
    some = torch.utils.data.Subset(theirs, range(epoch * THEIRS, (epoch + 1) * THEIRS))
    return sum(len(batch[0]) for batch in torch.utils.data.DataLoader(some, batch_size, shuffle=True))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", help="the data folder: holds cifar-10-batches-py, or is where it is downloaded to")
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--rounds", type=int, default=5, help="up to 9")
    chosen = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    lab, halves = (CIFAR10(chosen.data, 0, chosen.batch, view=view) for view in ("lab", "halves"))
    for data in (lab, halves):
        data.prepare_data()
        data.setup()
    theirs = torchvision.datasets.CIFAR10(str(halves.root), transform=transform_of(halves))
    for name, ours, other in (
        ("transforms", in_batches, partial(with_transforms, halves)),
        ("loader", through_the_loader, partial(with_a_dataloader, theirs, chosen.batch)),
    ):
        base = rate(other, chosen.rounds)
        print(f"torchvision, {name:11}{base}")
        for data in (lab, halves):
            found = rate(partial(ours, data), chosen.rounds)
            label = f"{'batches' if ours is in_batches else 'loader'}, {data.view}"
            print(f"{label:24}{found}: {found.cpu / base.cpu:.0f} times torchvision's")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
