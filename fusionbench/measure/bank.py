"""Test rows whose modalities can be mixed: this row's text with that row's picture, encoded once where that will do.

Encoders run once over the rows where the strategy can do with encodings, and what a run has stored is read once; then a
mixed batch costs the fusion alone. A strategy that reads inputs, acts within encoders or reads hidden layers that are
not stored gets mixed inputs. Encodings that would fill a memory are made, or read, anew for every batch.
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
        self._encoded = _in_memory(_encoded(trained, self.rows), len(self.rows))
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


def _encoded(trained: Trained, rows: Rows) -> Iterator[dict[str, Encoded]]:
    """By modality what is stored, or what encoders give, some rows at a time; nothing where inputs are needed."""
    module, data = trained.module, trained.data
    usual = type(module).encode is FusionModule.encode  # Each modality by its own encoder.
    if type(data) is EncodedData:  # Others of the kind give inputs, too.
        yield from (data.batch(some).encoded for some in InOrder(rows))
    elif usual and module.cacheable and not module.reads_stages and not isinstance(data, EncodedData):
        device = next(module.parameters(), torch.empty(0)).device
        for some in InOrder(rows):
            encoded = module.encode(data.batch(some).to(device))
            yield {name: replace(one, stages=(), stage_mask=None).each(Tensor.cpu) for name, one in encoded.items()}


def _in_memory(several: Iterator[dict[str, Encoded]], count: int) -> dict[str, Encoded] | None:
    """By modality all rows, padded alike; None where there are none, or where they would fill the memory."""
    found: dict[str, list[Encoded]] = {}
    for number, encoded in enumerate(several):
        size = sum(map(_bytes, encoded.values()))
        if number == 0 and encoded and count / len(next(iter(encoded.values())).pooled) * size > MOST:
            return None
        for name, one in encoded.items():
            found.setdefault(name, []).append(one)
    return {name: _joined(parts) for name, parts in found.items()} or None


def _bytes(one: Encoded) -> int:
    return sum(x.numel() * x.element_size() for x in (one.tokens, one.pooled, *one.stages))


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
        tuple(torch.cat(layer) for layer in zip(*(part.stages for part in padded), strict=True)),
    )
