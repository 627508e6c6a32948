"""Arrays: whatever `fusionbench.compare` was given, kept in the data folder by the hash of its contents.

Vectors, the steps of sequences and the channels of pictures have mean 0 and variance 1 over the training rows, and are
clipped; texts become subwords, which are found in the training rows. The test rows are as they were given, or a fixed
fifth of every class; an eighth of the rest, drawn by seed, is the validation split; rows of one group stay together.

Source: the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.modalities import kinds_of_columns
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskSpec
from fusionbench.data.array_files import GROUPS, NAME, TARGETS, TEST, VALIDATION, identity, offsets, strata, vocabulary
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.orders import EpochOrder
from fusionbench.data.pieces import pieces_model, pieces_of
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows, Split, held_out
from fusionbench.data.standard import Standardiser, fitted
from fusionbench.data.store import Array, open_arrays, prepared
from fusionbench.data.targets import in_memory

AT_ONCE = 4096
"""Rows that are looked at together when something is fitted."""
LONGEST_TEXT = 16_000
"""Characters of a text that subwords are looked for in."""
UNKNOWN = 1
"""The subword of a letter that no training text has."""


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
        self.standard: dict[str, Standardiser] = {}
        """By modality that is of numbers; after `setup`."""
        self.pieces: dict[str, dict[str, Array]] = {}
        """By modality that is of subwords: ids and where each text's begin; after `setup`."""

    # --- what there is -------------------------------------------------------------------------------------------

    @property
    def task(self) -> TaskSpec:
        """Modalities by name; of texts as subwords the first `length` are read."""
        targets = self.arrays[TARGETS]
        classes = targets.shape[1] if targets.ndim > 1 else int(targets.max()) + 1
        specs = tuple(self._spec(name, kind) for name, kind in self.kinds.items())
        return TaskSpec(specs, classes, self.task_kind)

    @property
    def kinds(self) -> dict[str, ModalityKind]:
        """The kind of each modality, by name."""
        return kinds_of_columns(self.name, self.columns)

    def _spec(self, name: str, kind: ModalityKind) -> ModalitySpec:
        values = self.arrays[name]
        if kind == "tokens":
            return ModalitySpec(name, kind, (self.length,), int(self.arrays[vocabulary(name)][0]))
        if kind in ("sequence", "text"):
            longest = int(np.diff(self.arrays[offsets(name)]).max())
            return ModalitySpec(name, kind, (longest, *values.shape[1:]))
        return ModalitySpec(name, kind, values.shape[1:])

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
        self.arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        self.tensors[TARGETS] = in_memory(self.arrays[TARGETS], self.task_kind)
        for name, kind in self.kinds.items():
            if kind == "tokens":
                self.pieces[name] = self._pieces(name, self.parts)
            elif kind != "text":
                self.standard[name] = fitted(lambda name=name: self._training_values(name))  # type: ignore[misc]

    def _training_values(self, name: str) -> Iterator[Array]:
        """Of the training rows, columns or channels last, (k, F) each."""
        assert self.parts is not None
        for start in range(0, len(self.parts.train), AT_ONCE):
            rows = self.parts.train[start : start + AT_ONCE]
            values, mask = self._values(name, rows)
            values = values[mask] if mask is not None else np.moveaxis(values, 1, -1)
            yield values.reshape(-1, values.shape[-1])

    def _values(self, name: str, rows: Rows) -> tuple[Array, NDArray[np.bool_] | None]:
        """As they are stored: (B, *shape), of sequences padded, with a mask."""
        if offsets(name) not in self.arrays:
            return self.arrays[name][rows], None
        first, last = self.arrays[offsets(name)][rows], self.arrays[offsets(name)][rows + 1]
        return padded(self.arrays[name], first, last - first)

    def _pieces(self, name: str, parts: Split) -> dict[str, Array]:
        """Found once for a seed, by whichever run comes first; all others read them."""
        decided = {**identity(self.contents), "modality": name, "split": parts.sha256}

        def convert(folder: Path) -> None:
            starts, values = self.arrays[offsets(name)], self.arrays[name]
            texts = [values[a:b].tobytes().decode() for a, b in pairwise(starts)]
            size = int(self.arrays[vocabulary(name)][0])
            model = pieces_model([texts[row][:LONGEST_TEXT] for row in parts.train], size)
            found = [ids if len(ids) else np.array([UNKNOWN]) for ids in pieces_of(model, texts)]
            np.save(folder / "ids.npy", np.concatenate(found).astype(np.int32))
            np.save(folder / "offsets.npy", np.cumsum([0, *map(len, found)]))

        found = open_arrays(prepared(self.root, f"{NAME}_pieces", decided, None, convert))
        return {part: np.asarray(array) for part, array in found.items()}

    def lengths(self) -> NDArray[np.int64] | None:
        """(n,): steps of each row's sequences and texts together; None where all rows have as many."""
        found = [np.diff(pieces["offsets"]).clip(max=self.length) for pieces in self.pieces.values()]
        found += [np.diff(self.arrays[offsets(n)]) for n in self.standard if offsets(n) in self.arrays]
        found += [np.diff(self.arrays[offsets(n)]) for n, kind in self.kinds.items() if kind == "text"]
        total = np.sum(found, axis=0) if found else np.zeros(1, dtype=np.int64)
        return None if total.min() == total.max() else np.asarray(total)

    def train_order(self) -> EpochOrder:
        """Batches of rows of like length, where lengths differ."""
        assert self.parts is not None
        lengths = self.lengths()
        if lengths is None:
            return super().train_order()
        return LengthBuckets(self.parts.train, self.batch_size, self.seed, lengths)

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The samples of those rows, sequences padded to the longest of them."""
        return self._assembled({name: self._inputs(name, kind, rows) for name, kind in self.kinds.items()}, rows)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a sample."""
        return self._assembled({}, rows)

    def _assembled(self, found: dict[str, tuple[Tensor, Tensor | None]], rows: Rows) -> MultimodalBatch:
        index, here = torch.from_numpy(rows), torch.ones(len(rows), dtype=torch.bool)
        return MultimodalBatch(
            inputs={name: x for name, (x, _) in found.items()},
            masks={name: mask for name, (_, mask) in found.items() if mask is not None},
            present=dict.fromkeys(self.columns, here),
            targets=self.tensors[TARGETS][index],
            ids=index,
        )

    def _inputs(self, name: str, kind: ModalityKind, rows: Rows) -> tuple[Tensor, Tensor | None]:
        if kind == "tokens":
            ids, starts = self.pieces[name]["ids"], self.pieces[name]["offsets"]
            values, mask = padded(ids, starts[rows], (starts[rows + 1] - starts[rows]).clip(max=self.length))
            return torch.from_numpy(values.astype(np.int64)), torch.from_numpy(mask)
        values, real = self._values(name, rows)
        if name in self.standard:
            values = self._to_one_scale(name, values)
        if real is None:
            return torch.from_numpy(values), None
        values[~real] = 0
        return torch.from_numpy(values), torch.from_numpy(real)

    def _to_one_scale(self, name: str, values: Array) -> NDArray[np.float32]:
        """Column by column; of pictures (B, C, H, W) channel by channel."""
        if values.ndim < 4:
            return self.standard[name](values)
        return np.ascontiguousarray(np.moveaxis(self.standard[name](np.moveaxis(values, 1, -1)), -1, 1))
