"""Arrays: whatever `fusionbench.compare` was given, kept in the data folder by the hash of its contents.

Vectors, the steps of sequences and the channels of pictures have mean 0 and variance 1 over the training rows, and are
clipped; texts become subwords, which are found in the training rows. The test rows are as they were given, or a fixed
fifth of every class; an eighth of the rest, drawn by seed, is the validation split; rows of one group stay together.

Source: the user's own.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.modalities import kinds_of_columns
from fusionbench.core.task import ModalityKind, TaskSpec
from fusionbench.data.array_files import GROUPS, NAME, TARGETS, TEST, VALIDATION, identity, strata
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.columns import Columns
from fusionbench.data.orders import EpochOrder
from fusionbench.data.splits import Rows, Split, held_out
from fusionbench.data.targets import in_memory


class Arrays(MultimodalData):
    """Vectors, sequences, pictures and texts of the user's own."""

    display = "Own arrays"
    modalities_from = "columns"
    default_encoders = {
        "vector": {"name": "mlp", "options": {"width": 64}},
        "sequence": {"name": "lstm", "options": {"width": 64, "hidden": 64}},
        "image": {"name": "small_cnn", "options": {"width": 64, "channels": [16, 32, 64]}},
        "tokens": {"name": "lstm", "options": {"width": 64, "hidden": 64, "embed": 64}},
        "text": {"name": "sentence_transformer", "options": {"width": 64}},
    }
    licence, home = "the owner's", "fusionbench.compare"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        contents: str,
        columns: dict[str, str],
        kind: Literal["multiclass", "multilabel", "regression"] = "multiclass",
        length: int = 256,
    ) -> None:
        super().__init__(root, seed, batch_size)
        if length < 1:
            raise UserError(f"{self.name}: option length: {length} is not at least 1")
        self.contents, self.columns, self.task_kind, self.length = contents, columns, kind, length

    # --- what there is -------------------------------------------------------------------------------------------

    @property
    def task(self) -> TaskSpec:
        """Modalities by name."""
        targets = self.arrays[TARGETS]
        classes = targets.shape[1] if targets.ndim > 1 else int(targets.max()) + 1
        return TaskSpec(tuple(map(self.stored.spec, self.kinds)), classes, self.task_kind)

    @cached_property
    def stored(self) -> Columns:
        """The modalities; of texts as subwords the first `length` are read."""
        arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        lengths = {name: self.length for name, kind in self.kinds.items() if kind == "tokens"}
        return Columns(self.name, arrays, self.kinds, lengths)

    @property
    def kinds(self) -> dict[str, ModalityKind]:
        """The kind of each modality, by name."""
        return kinds_of_columns(self.name, self.columns)

    def identity(self) -> dict[str, str]:
        """The contents alone: options change how they are read, not what is stored."""
        return identity(self.contents)

    def convert(self, folder: Path) -> None:
        """Only a call that has the arrays can write them."""
        raise UserError(
            f"{NAME}: contents {self.contents[:12]} are not in {self.root}; call fusionbench.compare with these arrays "
            "again, or name the data folder that has them (--data)"
        )

    def split(self) -> Split:
        """Test: as it is stored; validation: an eighth of the rest, by seed."""
        test = np.asarray(self.arrays[TEST])
        rest, groups = np.flatnonzero(~test), self.arrays.get(GROUPS)
        labels = strata(np.asarray(self.arrays[TARGETS]))[rest]
        groups = None if groups is None else groups[rest]
        kept, held = held_out(labels, VALIDATION, np.random.default_rng(self.seed), groups)
        return Split(rest[kept], rest[held], np.flatnonzero(test))

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """As they were given, if they were."""
        return self.arrays[GROUPS][rows] if GROUPS in self.arrays else None

    # --- reading -------------------------------------------------------------------------------------------------

    def load_memory(self) -> None:
        """Targets; values stay in the memory maps, which all runs share. What is fitted is fitted here."""
        assert self.parts is not None
        self.tensors[TARGETS] = in_memory(self.arrays[TARGETS], self.task_kind)
        self.stored.fit(self.root, self.parts, identity(self.contents))

    def train_order(self) -> EpochOrder:
        """Batches of rows of like length, where lengths differ."""
        assert self.parts is not None
        lengths = self.stored.step_counts()
        if lengths is None:
            return super().train_order()
        return LengthBuckets(self.parts.train, self.batch_size, self.seed, lengths)

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The samples of those rows, sequences padded to the longest of them."""
        return self._assembled(*self.stored.inputs(rows), rows)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a sample."""
        return self._assembled({}, {}, rows)

    def _assembled(self, inputs: dict[str, Tensor], masks: dict[str, Tensor], rows: Rows) -> MultimodalBatch:
        index = torch.from_numpy(rows)
        here = torch.ones(len(rows), dtype=torch.bool)
        present, targets = dict.fromkeys(self.columns, here), self.tensors[TARGETS][index]
        return MultimodalBatch(inputs, masks, present, targets, index)
