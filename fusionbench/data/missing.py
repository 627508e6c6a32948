"""Modalities that are missing in training: a share of the rows of each, fixed for the data, the seed and the row.

Which rows they are is no matter of the epoch: what is missing is never seen. A row that lacks a modality at one rate
lacks it at all higher ones. A row that would lack all that it has keeps the one that would go last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.row_numbers import row_numbers
from fusionbench.core.task import TaskSpec
from fusionbench.data.splits import Split

Left = Callable[[MultimodalBatch], MultimodalBatch]
"""What is left of a training batch."""


class HasRows(Protocol):
    """What is asked of a dataset that is set up."""

    train_missing: dict[str, float]
    fingerprint: str
    seed: int
    parts: Split | None

    @property
    def task(self) -> TaskSpec:
        """Its modalities."""


def left_of(data: HasRows) -> Left:
    """Takes from training batches what is missing; of a dataset that misses nothing, nothing."""
    assert data.parts is not None
    rates = {name: rate for name, rate in data.train_missing.items() if name in data.task.names}
    return TrainMissing(rates, data.fingerprint, data.seed, data.parts.train).applied if rates else whole


def whole(batch: MultimodalBatch) -> MultimodalBatch:
    """The batch as it is."""
    return batch


class TrainMissing:
    """Takes modalities away from training batches.

    Args:
        rates: by modality, in (0, 1).
        fingerprint: of the data.
        seed: of the run.
        rows: (n,) all training rows.
    """

    def __init__(self, rates: Mapping[str, float], fingerprint: str, seed: int, rows: NDArray[np.int64]) -> None:
        self.rates, self.rows = dict(rates), np.sort(rows)
        facts = {name: ["train_missing", fingerprint, seed, name] for name in rates}
        self.numbers = {name: row_numbers(facts[name], self.rows) for name in rates}

    def applied(self, batch: MultimodalBatch) -> MultimodalBatch:
        """The batch without what is missing; no tensor of it is changed."""
        at = np.searchsorted(self.rows, batch.ids.numpy())
        names = list(batch.present)
        here = torch.stack([batch.present[name] for name in names], 1)  # (B, M)
        # How much of its rate's room is left: below 1 it goes, and the highest would go last.
        room = np.stack([self._room(name, at) for name in names], 1)
        left = here & torch.from_numpy(room >= 1)
        alone = torch.from_numpy(np.where(here.numpy(), room, -1.0).argmax(1))
        none = ~left.any(1) & here.any(1)
        left[none, alone[none]] = True
        return replace(batch, present={name: left[:, number] for number, name in enumerate(names)})

    def _room(self, name: str, at: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.numbers[name][at] / self.rates[name] if name in self.rates else np.full(len(at), np.inf)
