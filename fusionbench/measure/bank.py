"""Test rows whose modalities can be mixed: this row's text with that row's picture, encoded once where that will do.

Encoders run once over the rows where the strategy can do with encodings; then a mixed batch costs the fusion alone. A
strategy that reads inputs, acts within encoders or reads their hidden layers gets mixed inputs, and so does one whose
encodings would fill a memory. What a run has stored already is read from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.data.orders import EVALUATION_BATCH, InOrder
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.trained import Trained
from fusionbench.training.encodings import EncodedData

MOST = 2**29
"""Bytes of encodings that are kept in memory."""
Places = NDArray[np.int64]
"""Which of a bank's rows, from 0; in any order, and as often as one likes."""


class Bank:
    """Some rows of a trained model's data; to be used within `trained.opened()`.

    Args:
        trained: the model and its data.
        rows: (n,) of the dataset.
    """

    def __init__(self, trained: Trained, rows: Rows) -> None:
        self.trained, self.rows = trained, np.asarray(rows)
        module = trained.module
        usual = type(module).encode is FusionModule.encode  # Each modality by its own encoder.
        alone = usual and module.cacheable and not module.reads_stages and not isinstance(trained.data, EncodedData)
        self._encoded = _encoded(trained, self.rows) if alone else None
        self.targets = torch.cat([trained.inputs.labels(some).targets for some in InOrder(self.rows)])

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: Mapping[str, Places], labels: Places) -> MultimodalBatch:
        """B samples, each modality of a row of its own.

        Args:
            places: (B,) by modality.
            labels: (B,): whose targets and ids they have.
        """
        if self._encoded is not None:
            encoded = {name: one.each(lambda x, at=places[name]: x[at]) for name, one in self._encoded.items()}  # type: ignore[misc]
            there = torch.ones(len(labels), dtype=torch.bool)
            present = {name: encoded[name].present if name in encoded else there for name in places}
            ids = torch.from_numpy(self.rows[labels])
            return MultimodalBatch({}, {}, present, self.targets[labels], ids, encoded=encoded)
        return mixed({name: self._batch_of(at) for name, at in places.items()}, self._batch_of(labels))

    def outputs(self, places: Mapping[str, Places], labels: Places) -> Tensor:
        """What the model says of them, float32 (B, C)."""
        parts = [
            self.trained.outputs(self.batch({name: at[span] for name, at in places.items()}, labels[span]))
            for span in spans(len(labels))
        ]
        return torch.cat(parts)

    def _batch_of(self, places: Places) -> MultimodalBatch:
        return self.trained.data.batch(self.rows[places])


def mixed(parts: Mapping[str, MultimodalBatch], labels: MultimodalBatch) -> MultimodalBatch:
    """A batch with each modality of another one, and the targets and ids of `labels`.

    Args:
        parts: by modality, batches of equally many samples.
        labels: of as many.
    """
    return replace(
        labels,
        inputs={name: part.inputs[name] for name, part in parts.items() if name in part.inputs},
        masks={name: part.masks[name] for name, part in parts.items() if name in part.masks},
        present={name: part.present[name] for name, part in parts.items()},
        encoded={name: part.encoded[name] for name, part in parts.items() if name in part.encoded},
        auxiliary={},
    )


def spans(count: int) -> Iterator[slice]:
    """Pieces of an evaluation batch each."""
    for start in range(0, count, EVALUATION_BATCH):
        yield slice(start, start + EVALUATION_BATCH)


def _encoded(trained: Trained, rows: Rows) -> dict[str, Encoded] | None:
    """By modality what its encoder gives of all rows, padded alike; None where that would fill the memory."""
    found: dict[str, list[Encoded]] = {}
    device = next(trained.module.parameters(), torch.empty(0)).device
    for number, some in enumerate(InOrder(rows)):
        encoded = trained.module.encode(trained.data.batch(some).to(device))
        if number == 0 and len(rows) / len(some) * sum(map(_bytes, encoded.values())) > MOST:
            return None
        for name, one in encoded.items():
            found.setdefault(name, []).append(replace(one, stages=(), stage_mask=None).each(Tensor.cpu))
    return {name: _joined(parts) for name, parts in found.items()}


def _bytes(one: Encoded) -> int:
    return one.tokens.numel() * one.tokens.element_size() + one.pooled.numel() * one.pooled.element_size()


def _joined(parts: list[Encoded]) -> Encoded:
    longest = max(part.tokens.shape[1] for part in parts)
    padded = [
        replace(
            part,
            tokens=F.pad(part.tokens, (0, 0, 0, longest - part.tokens.shape[1])),
            mask=F.pad(part.mask, (0, longest - part.mask.shape[1])),
        )
        for part in parts
    ]
    return Encoded(
        torch.cat([part.pooled for part in padded]),
        torch.cat([part.tokens for part in padded]),
        torch.cat([part.mask for part in padded]),
        torch.cat([part.present for part in padded]),
    )
