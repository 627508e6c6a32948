"""IMDB training batches: reviews per second on one core, and how much of a batch is padding.

    buckets   the training loader, whose batches are of reviews of like length
    plain     the same rows in the plain order of an epoch

Steps are those of the view's sequences, n-grams left out. An encoder's work grows with a batch's steps, padding
included, so plain / buckets in steps is how much of it the buckets save. The data have to be there, e.g. by
`fusionbench prepare imdb`; the first call converts them, which takes a minute or two.

    python benchmarks/imdb_batches.py --data DIR [--batch 64] [--epochs 3]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

import torch

from fusionbench.core.errors import UserError
from fusionbench.data.imdb import IMDB
from fusionbench.data.orders import EpochOrder
from fusionbench.data.splits import Rows


class Found(NamedTuple):
    """Of all epochs together."""

    per_s: float
    """Reviews per second of CPU time."""
    steps: int
    """Of the sequences, padding included."""
    real: float
    """The share of the steps that is no padding."""


def measured(data: IMDB, orders: Iterable[Iterable[Rows]]) -> Found:
    """Every batch of the orders, made."""
    names = [modality.name for modality in data.task.modalities if modality.kind == "tokens"]
    started, count, steps, real = time.process_time(), 0, 0, 0
    for order in orders:
        for rows in order:
            masks = [data.train_batch(rows, 0).masks[name] for name in names]
            count += len(rows)
            steps += sum(mask.numel() for mask in masks)
            real += sum(int(mask.sum()) for mask in masks)
    return Found(count / (time.process_time() - started), steps, real / steps)


def at(order: EpochOrder, epoch: int) -> EpochOrder:
    """The order of an epoch."""
    order.set_epoch(epoch)
    return order


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", help="the data folder: holds aclImdb, or is where it is downloaded to")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--epochs", type=int, default=3)
    chosen = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    for view in ("sequence_ngrams", "halves"):
        data = IMDB(chosen.data, 0, chosen.batch, view=view)
        data.prepare_data()
        data.setup()
        assert data.parts is not None
        plain = EpochOrder(data.parts.train, chosen.batch, 0)
        orders = {"buckets": data.train_order(), "plain": plain}
        found = {
            name: measured(data, (at(order, epoch) for epoch in range(chosen.epochs))) for name, order in orders.items()
        }
        for name, one in found.items():
            print(f"{view:16}{name:8}{one.per_s:10,.0f} reviews/s of CPU time, {one.real:.0%} of the steps are real")
        print(f"{view:16}plain / buckets in steps: {found['plain'].steps / found['buckets'].steps:.2f}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
