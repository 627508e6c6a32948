"""Training batches of rows of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fusionbench.data.orders import EpochOrder
from fusionbench.data.splits import Rows

POOL = 50
"""Batches that are sorted by length together: enough to save most of the padding, few enough to keep batches random."""


class LengthBuckets(EpochOrder):
    """An epoch's order cut into pools, each sorted by length and cut into batches, which are shuffled again.

    Which rows an epoch leaves out is the plain order's choice, and so independent of lengths.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int, lengths: NDArray[np.int64]) -> None:
        super().__init__(rows, batch_size, seed)
        self.lengths = lengths
        """By row of the dataset."""

    def __iter__(self) -> Iterator[Rows]:
        rng = np.random.default_rng([self.seed, self.epoch, POOL])
        batches = list(super().__iter__())
        for start in range(0, len(batches), POOL):
            pool = np.concatenate(batches[start : start + POOL])
            ordered = pool[np.argsort(self.lengths[pool], kind="stable")]
            cut = [ordered[i : i + self.batch_size] for i in range(0, len(ordered), self.batch_size)]
            yield from (cut[place] for place in rng.permutation(len(cut)))
