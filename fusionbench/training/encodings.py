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
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.npy import GrowingArray
from fusionbench.data.orders import EpochOrder, InOrder
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array
from fusionbench.fusion._stages import given, level_vectors, without_absent
from fusionbench.training.fit import OnEpoch

BATCH = 128
"""Samples that are encoded at a time; moves roundings alone."""


def rows_of(data: MultimodalData) -> Rows:
    """Every row of every part, sorted."""
    assert data.parts is not None
    return np.unique(np.concatenate([data.parts.train, data.parts.validation, data.parts.test]))


class HasBatches(Protocol):
    """Data that are set up, or what stands in for them."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """Rows (B,) as a batch."""


@torch.inference_mode()
def pieces_of(encoder: nn.Module, modality: str, data: HasBatches, rows: Rows) -> Iterator[dict[str, Array]]:
    """What is stored of rows, some at a time, by array; `lengths` (k,) in the place of `offsets`.

    Args:
        encoder: any of `encoders`, or the map of one behind its trunk; it is put into eval mode.
        modality: which of the data's it reads.
        data: rows are seen as validation rows are.
        rows: (n,), in rising order.
    """
    encoder.eval()
    device = next(encoder.parameters(), torch.empty(0)).device
    for some in InOrder(rows, BATCH):
        encoded = without_absent(encoder(*given(modality, data.batch(some).to(device))))
        stages = level_vectors(encoded, len(encoded.stages)) if encoded.stages else []
        lengths = lengths_of(encoded.mask)
        inside = torch.arange(encoded.mask.shape[1], device=device) < lengths[:, None]
        found = {
            "rows": torch.from_numpy(some),
            "pooled": encoded.pooled,
            "tokens": encoded.tokens[inside],
            "mask": encoded.mask[inside],
            "lengths": lengths,
            **{f"stage{number}": vector for number, vector in enumerate(stages)},
        }
        yield {name: plain(tensor) for name, tensor in found.items()}


def write_encoding(
    folder: Path, encoder: nn.Module, modality: str, data: MultimodalData, rows: Rows, tell: OnEpoch
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
    write_pieces(folder, pieces_of(encoder, modality, data, rows), tell)


def write_pieces(folder: Path, pieces: Iterator[dict[str, Array]], tell: OnEpoch) -> None:
    """Write the arrays of pieces one behind the other; of `lengths`, if there are any, the `offsets`.

    Args:
        folder: there, and empty.
        pieces: by array, the values of some rows; `rows` are among them.
        tell: told how many rows are done, piece by piece.
    """
    lengths: list[Array] = []
    done = 0
    with ExitStack() as open_files:
        arrays: dict[str, GrowingArray] = {}
        for piece in pieces:
            lengths += [piece.pop("lengths")] if "lengths" in piece else []
            if not arrays:  # Their widths are known from the first of them on.
                made = {name: GrowingArray(folder / f"{name}.npy", x.dtype, x.shape[1:]) for name, x in piece.items()}
                arrays = {name: open_files.enter_context(array) for name, array in made.items()}
            for name, values in piece.items():
                arrays[name].append(values)
            done += len(piece["rows"])
            tell(done, {})
    if lengths:
        with GrowingArray(folder / "offsets.npy", np.int64) as offsets:
            offsets.append(np.cumsum([0, *np.concatenate(lengths)], dtype=np.int64))


class StoredSteps:
    """Steps of rows on the disk, read batch by batch.

    Args:
        steps: (S, X), one row's after the other's.
        mask: bool (S,): which of them are real.
        offsets: (n + 1,): where each row's begin and end.
    """

    def __init__(self, steps: Array, mask: Array, offsets: Array) -> None:
        self.steps, self.mask, self.offsets = np.asarray(steps), np.asarray(mask), np.asarray(offsets)
        counts = np.diff(self.offsets)
        if len(counts) and counts[0] and (counts == counts[0]).all():
            # All of one length: rows are taken whole.
            self.steps = self.steps.reshape(len(counts), counts[0], -1)
            self.mask = self.mask.reshape(len(counts), counts[0])

    def of(self, at: Rows) -> tuple[Tensor, Tensor]:
        """Steps (B, T, X), zeros behind a row's last one, and which are real, bool (B, T).

        Args:
            at: (B,), places among the n rows, in any order.
        """
        if self.steps.ndim == 3:
            steps, mask = self.steps[at], self.mask[at]
        else:
            first, counts = self.offsets[at], self.offsets[at + 1] - self.offsets[at]
            steps, _ = padded(self.steps, first, counts)
            mask, _ = padded(self.mask, first, counts)
        return torch.from_numpy(steps), torch.from_numpy(mask)


class StoredEncoding:
    """One modality's encodings on the disk, read batch by batch.

    Args:
        arrays: as they are stored.
        with_stages: whether the hidden layers are read, which few strategies need.
    """

    def __init__(self, arrays: Mapping[str, Array], *, with_stages: bool = True) -> None:
        found = {name: np.asarray(array) for name, array in arrays.items()}
        self.rows, self.pooled = found["rows"], found["pooled"]
        self.tokens = StoredSteps(found["tokens"], found["mask"], found["offsets"])
        layers = sum(name.startswith("stage") for name in found) if with_stages else 0
        self.stages = [found[f"stage{number}"] for number in range(layers)]

    def of(self, rows: Rows, present: Tensor) -> Encoded:
        """The encodings of B of the stored rows.

        Args:
            rows: (B,), in any order.
            present: bool (B,): the batch's own.
        """
        at = np.searchsorted(self.rows, rows)
        tokens, mask = self.tokens.of(at)
        pooled, *stages = (torch.from_numpy(array[at]) for array in (self.pooled, *self.stages))
        return Encoded(pooled, tokens, mask, present, tuple(stages))

    def put(self, name: str, rows: Rows, batch: MultimodalBatch) -> None:
        """Give a batch the encodings of its rows."""
        batch.encoded[name] = self.of(rows, batch.present[name])


class Stored(Protocol):
    """What is on the disk in the place of one modality's inputs."""

    def put(self, name: str, rows: Rows, batch: MultimodalBatch) -> None:
        """Give a batch what is stored of its rows.

        Args:
            name: of the modality.
            rows: (B,), in any order.
            batch: of these rows, without inputs.
        """


class EncodedData(MultimodalData):
    """A dataset whose batches have what is stored in the place of inputs."""

    def __init__(self, data: MultimodalData, stored: Mapping[str, Stored]) -> None:
        super().__init__(data.root, data.seed, data.batch_size)
        self.data, self.stored = data, stored
        # Set up already, so that `setup` has nothing to do.
        self.parts, self.fingerprint, self.ranks, self.augments = data.parts, data.fingerprint, data.ranks, False
        self.train_missing = data.train_missing

    @property
    def task(self) -> TaskSpec:
        """The dataset's."""
        return self.data.asked

    def prepare_data(self) -> None:
        """Done by the dataset."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The dataset's labels, and what is stored."""
        batch = replace(self.data.labels(rows), inputs={}, masks={}, encoded={})
        for name, stored in self.stored.items():
            stored.put(name, rows, batch)
        return batch

    def labels(self, rows: Rows) -> MultimodalBatch:
        """The dataset's."""
        return self.data.labels(rows)

    def train_order(self) -> EpochOrder:
        """The dataset's."""
        return self.data.train_order()

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """The dataset's."""
        return self.data.groups(rows)


def lengths_of(mask: Tensor) -> Tensor:
    """(k,): up to the last real step of bool (k, T)."""
    return (torch.arange(1, mask.shape[1] + 1, device=mask.device) * mask).amax(1)


def plain(tensor: Tensor) -> NDArray[Any]:
    """float32, or as it is where it holds no fractions."""
    return tensor.float().cpu().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()
