"""In which batches rows come: drawn anew every epoch for training, in order for evaluation.

Distributed samplers by name: where there are several devices the dataset has shared rows out, and Lightning must not
put samplers of its own in their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sized
from typing import Any, cast

import numpy as np
from torch.utils.data import Dataset, DistributedSampler

from fusionbench.core.batch import MultimodalBatch
from fusionbench.data.splits import Rows

EVALUATION_BATCH = 512
"""Samples in a validation or test batch; has no influence on scores."""


class EpochOrder(DistributedSampler[Rows]):
    """Batches of rows in an order drawn from (seed, epoch): resuming at an epoch's border repeats nothing.

    The last partial batch is dropped (unless it is the only one), so that any number of devices sees the same batches.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        for step in range(len(self)):
            yield order[step * self.batch_size : (step + 1) * self.batch_size]


class InOrder(DistributedSampler[Rows]):
    """Batches of rows as they come, the last one smaller."""

    def __init__(self, rows: Rows, batch_size: int = EVALUATION_BATCH) -> None:
        self.rows, self.batch_size = rows, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        for start in range(0, len(self.rows), self.batch_size):
            yield self.rows[start : start + self.batch_size]


class Batches(Dataset[MultimodalBatch], Sized):
    """A dataset of whole batches, by their rows as an order gives them, or by number."""

    def __init__(self, order: EpochOrder | InOrder, read: Callable[[Rows], MultimodalBatch]) -> None:
        self.order, self.read = order, read

    def __getitem__(self, rows: Any) -> MultimodalBatch:
        # Lightning's overfit_batches asks for the first ones by number.
        return self.read(list(self.order)[rows] if isinstance(rows, int) else cast(Rows, rows))

    def __len__(self) -> int:
        return len(self.order)
