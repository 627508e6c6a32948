"""Stored trunks: what a frozen network gives of rows, kept for all seeds; the map behind it is trained and run on that.

    rows.npy       (n,) int64        the rows of the dataset, in rising order
    steps.npy      (S, F) float32    the steps of all rows, one row's after the other's, up to its last real one
    mask.npy       (S,) bool         which of them are real
    offsets.npy    (n + 1,) int64    where each row's begin and end; everyone has one at least, real or not
    vector.npy     (n, F) float32    in the place of the three above, of a trunk that gives vectors

The network is by far the larger part of such an encoder. Seeds differ in the map alone. It is the encoder's one layer
too: a fusion that acts between layers acts behind it, and begins with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import InOrder
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array
from fusionbench.encoders.base import Encoder, Hidden
from fusionbench.fusion._stages import given
from fusionbench.training.encodings import BATCH, EncodedData, StoredSteps, lengths_of, plain, write_pieces
from fusionbench.training.fit import OnEpoch


@torch.inference_mode()
def trunk_pieces(encoder: Encoder, modality: str, data: MultimodalData, rows: Rows) -> Iterator[dict[str, Array]]:
    """What is stored of rows, some at a time, by array; `lengths` (k,) in the place of `offsets`.

    Args:
        encoder: with a frozen trunk; it is put into eval mode.
        modality: which of the data's it reads.
        data: set up; rows are seen as validation rows are.
        rows: (n,), in rising order.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    for some in InOrder(rows, BATCH):
        hidden = encoder.trunk_features(*given(modality, data.batch(some).to(device)))
        found = {"rows": torch.from_numpy(some)}
        if hidden.mask is None:
            found["vector"] = hidden.map
        else:
            # One step where none is real: a batch of no step at all would have no mean.
            lengths = lengths_of(hidden.mask).clamp(min=1)
            inside = torch.arange(hidden.mask.shape[1], device=device) < lengths[:, None]
            found |= {"steps": hidden.map[inside], "mask": hidden.mask[inside], "lengths": lengths}
        yield {name: plain(tensor) for name, tensor in found.items()}


def write_trunk(folder: Path, encoder: Encoder, modality: str, data: MultimodalData, rows: Rows, tell: OnEpoch) -> None:
    """Run a trunk over rows into the arrays of a folder; arguments as of `encodings.write_encoding`."""
    write_pieces(folder, trunk_pieces(encoder, modality, data, rows), tell)


class StoredTrunk:
    """What a trunk gives of one modality, on the disk, read batch by batch."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.rows = np.asarray(arrays["rows"])
        self.vector = np.asarray(arrays["vector"]) if "vector" in arrays else None
        self.steps = (
            None if self.vector is not None else StoredSteps(*(arrays[n] for n in ("steps", "mask", "offsets")))
        )

    def put(self, name: str, rows: Rows, batch: MultimodalBatch) -> None:
        """Give a batch what is stored of its rows as its input; `BehindTrunk` reads it."""
        at = np.searchsorted(self.rows, rows)
        if self.steps is not None:
            batch.inputs[name], batch.masks[name] = self.steps.of(at)
        elif self.vector is not None:
            batch.inputs[name] = torch.from_numpy(self.vector[at])


class TrunkedData(EncodedData):
    """A dataset whose batches have what is stored in the place of some inputs, and the other inputs as they are."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The dataset's, with what is stored."""
        batch = self.data.batch(rows)
        for name, stored in self.stored.items():
            stored.put(name, rows, batch)
        return batch


class BehindTrunk(nn.Module):
    """The map of an encoder behind its trunk, in the encoder's place where inputs are what the trunk gives."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.stage_widths = encoder, encoder.stage_widths

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """As the encoder; in training without its hidden map, which nothing that is trained here reads.

        Args:
            x: (B, F) or (B, T, F).
            mask: bool (B, T), of steps.
            present: bool (B,).
        """
        hidden = Hidden(x, mask, present)
        encoded = self.encoder.finish(hidden)
        return encoded if self.training else replace(encoded, stages=(hidden.clean(),), stage_mask=mask)

    # Stage by stage, for a fusion between layers: as of the encoder, whose one stage is done.

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """What the trunk gives; arguments as of `forward`."""
        return Hidden(x, mask, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """The trunk, behind which this is."""
        return hidden

    def finish(self, hidden: Hidden) -> Encoded:
        """The encoder's own."""
        return self.encoder.finish(hidden)
