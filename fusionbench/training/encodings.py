"""Stored encodings: what a frozen encoder makes of rows, written once, and read in its place by every strategy.

    rows.npy       (n,) int64        the rows of the dataset, in rising order
    pooled.npy     (n, D) float32
    tokens.npy     (S, D) float32    the steps of all rows, one row's after the other's, up to its last real one
    mask.npy       (S,) bool         which of them are real
    offsets.npy    (n + 1,) int64    where each row's begin and end
    stage0.npy ..  (n, X) float32    each hidden layer as a vector (`level_vectors`); none of an encoder of one layer

A modality that is absent is zeros, as a strategy gets it. Reading gathers whole batches from memory maps, which all
processes of a machine share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.npy import GrowingArray
from fusionbench.data.orders import EpochOrder, InOrder
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array
from fusionbench.encoders.base import Encoder
from fusionbench.fusion._stages import given, level_vectors, without_absent
from fusionbench.training.fit import OnEpoch

BATCH = 128
"""Samples that are encoded at a time; moves roundings alone."""


def rows_of(data: MultimodalData) -> Rows:
    """Every row of every part, sorted."""
    assert data.parts is not None
    return np.unique(np.concatenate([data.parts.train, data.parts.validation, data.parts.test]))


@torch.inference_mode()
def pieces_of(encoder: Encoder, modality: str, data: MultimodalData, rows: Rows) -> Iterator[dict[str, Array]]:
    """What is stored of rows, some at a time, by array; `lengths` (k,) in the place of `offsets`.

    Args:
        encoder: it is put into eval mode.
        modality: which of the data's it reads.
        data: set up; rows are seen as validation rows are.
        rows: (n,), in rising order.
    """
    encoder.eval()
    device = next(encoder.parameters(), torch.empty(0)).device
    for some in InOrder(rows, BATCH):
        encoded = without_absent(encoder(*given(modality, data.batch(some).to(device))))
        stages = level_vectors(encoded, len(encoded.stages)) if encoded.stages else []
        place = torch.arange(1, encoded.mask.shape[1] + 1, device=device)
        lengths = (place * encoded.mask).amax(1)  # (k,): up to the last real step
        inside = place <= lengths[:, None]
        found = {
            "rows": torch.from_numpy(some),
            "pooled": encoded.pooled,
            "tokens": encoded.tokens[inside],
            "mask": encoded.mask[inside],
            "lengths": lengths,
            **{f"stage{number}": vector for number, vector in enumerate(stages)},
        }
        yield {name: _plain(tensor) for name, tensor in found.items()}


def write_encoding(
    folder: Path, encoder: Encoder, modality: str, data: MultimodalData, rows: Rows, tell: OnEpoch
) -> None:
    """Encode rows into the arrays of a folder.

    Args:
        folder: there, and empty.
        encoder: frozen, on any device.
        modality: which of the data's it reads.
        data: set up.
        rows: (n,), in rising order.
        tell: told how many of them are done, batch by batch.
    """
    lengths: list[Array] = []
    with ExitStack() as open_files:
        arrays: dict[str, GrowingArray] = {}
        done = 0
        for piece in pieces_of(encoder, modality, data, rows):
            lengths.append(piece.pop("lengths"))
            if not arrays:  # Their widths are known from the first of them on.
                made = {name: GrowingArray(folder / f"{name}.npy", x.dtype, x.shape[1:]) for name, x in piece.items()}
                arrays = {name: open_files.enter_context(array) for name, array in made.items()}
            for name, values in piece.items():
                arrays[name].append(values)
            done += len(piece["rows"])
            tell(done, {})
    with GrowingArray(folder / "offsets.npy", np.int64) as offsets:
        offsets.append(np.cumsum([0, *np.concatenate(lengths)], dtype=np.int64))


class StoredEncoding:
    """One modality's encodings on the disk, read batch by batch."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        plain = {name: np.asarray(array) for name, array in arrays.items()}
        self.rows, self.pooled, self.offsets = plain["rows"], plain["pooled"], plain["offsets"]
        self.tokens, self.mask = plain["tokens"], plain["mask"]
        self.stages = [plain[f"stage{number}"] for number in range(sum(name.startswith("stage") for name in plain))]
        steps = np.diff(self.offsets)
        if len(steps) and steps[0] and (steps == steps[0]).all():
            # All of one length: rows are taken whole.
            self.tokens = self.tokens.reshape(len(steps), steps[0], -1)
            self.mask = self.mask.reshape(len(steps), steps[0])

    def of(self, rows: Rows, present: Tensor, with_stages: bool = True) -> Encoded:
        """The encodings of B of the stored rows.

        Args:
            rows: (B,), in any order.
            present: bool (B,): the batch's own.
            with_stages: whether to read the hidden layers, which few strategies do.
        """
        at = np.searchsorted(self.rows, rows)
        if self.tokens.ndim == 3:
            tokens, mask = self.tokens[at], self.mask[at]
        else:
            first, counts = self.offsets[at], self.offsets[at + 1] - self.offsets[at]
            tokens, _ = padded(self.tokens, first, counts)
            mask, _ = padded(self.mask, first, counts)
        pooled, *stages = (
            torch.from_numpy(array[at]) for array in (self.pooled, *(self.stages if with_stages else ()))
        )
        return Encoded(pooled, torch.from_numpy(tokens), torch.from_numpy(mask), present, tuple(stages))


class EncodedData(MultimodalData):
    """A dataset whose batches have stored encodings in the place of inputs, with or without hidden layers."""

    def __init__(self, data: MultimodalData, stored: Mapping[str, StoredEncoding], with_stages: bool = True) -> None:
        super().__init__(data.root, data.seed, data.batch_size)
        self.data, self.stored, self.with_stages = data, stored, with_stages
        # Set up already, so that `setup` has nothing to do.
        self.parts, self.fingerprint, self.ranks, self.augments = data.parts, data.fingerprint, data.ranks, False

    @property
    def task(self) -> TaskSpec:
        """The dataset's."""
        return self.data.task

    def prepare_data(self) -> None:
        """Done by the dataset."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The dataset's labels, and what is stored."""
        bare = self.data.labels(rows)
        encoded = {name: one.of(rows, bare.present[name], self.with_stages) for name, one in self.stored.items()}
        return replace(bare, encoded=encoded)

    def train_order(self) -> EpochOrder:
        """The dataset's."""
        return self.data.train_order()

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """The dataset's."""
        return self.data.groups(rows)


def _plain(tensor: Tensor) -> NDArray[Any]:
    """float32, or as it is where it holds no fractions."""
    return tensor.float().cpu().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()
