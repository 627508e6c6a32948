"""Modalities as data sets of the user's own store them (stored.py), read by rows: padded, to one scale, some missing.

What is fitted (means and deviations, subwords, which categories are known) is fitted on the training rows that have the
modality.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.errors import UserError
from fusionbench.core.task import Colours, ModalityKind, ModalitySpec
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows, Split
from fusionbench.data.standard import Standardiser, fitted
from fusionbench.data.store import Array
from fusionbench.data.stored import offsets, presence, vocabulary
from fusionbench.data.subwords import subwords
from fusionbench.data.tables import Table, is_table

AT_ONCE = 4096
"""Rows that are looked at together when something is fitted."""


class Columns:
    """The modalities of one data set.

    Args:
        where: the data set's name.
        arrays: by file name.
        kinds: by modality, in the order in which models meet them.
        lengths: of texts as subwords and of sequences, how many steps are read at most; 0: all.
        pictures: those whose channels are red, green and blue bytes.
    """

    def __init__(
        self,
        where: str,
        arrays: Mapping[str, Array],
        kinds: Mapping[str, ModalityKind],
        lengths: Mapping[str, int],
        pictures: Collection[str] = (),
    ) -> None:
        self.where, self.arrays, self.kinds, self.lengths, self.pictures = where, arrays, kinds, lengths, pictures
        self.standard: dict[str, Standardiser] = {}
        """By modality that is of numbers; after `fit`."""
        self.pieces: dict[str, dict[str, Array]] = {}
        """By modality that is of subwords: ids and where each text's begin; after `fit`."""
        self.decided: dict[str, Any] = {}
        """Likewise, what decides them."""
        self.tables = {name: Table(name, arrays) for name in kinds if is_table(name, arrays)}

    def spec(self, name: str) -> ModalitySpec:
        """What a model meets."""
        if name in self.tables:
            return self.tables[name].spec
        kind, values = self.kinds[name], self.arrays[name]
        if kind == "tokens":
            return ModalitySpec(name, kind, (self.lengths[name],), int(self.arrays[vocabulary(name)][0]))
        if kind in ("sequence", "text"):
            longest = self._cut(name, np.diff(self.arrays[offsets(name)])).max()
            return ModalitySpec(name, kind, (int(longest), *values.shape[1:]))
        return ModalitySpec(name, kind, values.shape[1:], colours=self._colours(name))

    def _colours(self, name: str) -> Colours | None:
        if name not in self.pictures or name not in self.standard:
            return None
        mean, factor = self.standard[name].mean, self.standard[name].factor
        std = np.divide(1.0, factor, out=np.ones_like(factor), where=factor > 0)
        return Colours(tuple((mean / 255).tolist()), tuple((std / 255).tolist()))

    # --- fitting -------------------------------------------------------------------------------------------------

    def fit(self, root: Path, parts: Split, contents: Mapping[str, Any]) -> None:
        """Fit what is to be fitted on the training rows.

        Args:
            root: the data folder, where subwords are kept.
            parts: its training rows are read.
            contents: JSON of what decides the texts.

        Raises:
            UserError: no training row has a modality, or the data folder cannot be written.
        """
        for name, kind in self.kinds.items():
            train = parts.train[self.present(name, parts.train)]
            if not len(train):
                raise UserError(f"{self.where}: '{name}' is missing in all {len(parts.train)} training rows")
            if name in self.tables:
                self.tables[name].fit(train)
            elif kind == "tokens":
                decided = self.decided[name] = {**contents, "modality": name, "split": parts.sha256}
                texts, pieces = (self.arrays[name], self.arrays[offsets(name)]), int(self.arrays[vocabulary(name)][0])
                self.pieces[name] = subwords(root, self.where, decided, texts, pieces, train)
            elif kind != "text":
                self.standard[name] = fitted(lambda name=name, train=train: self._training_values(name, train))  # type: ignore[misc]

    def _training_values(self, name: str, train: Rows) -> Iterator[Array]:
        """Of the training rows, columns or channels last, (k, F) each."""
        for start in range(0, len(train), AT_ONCE):
            values, mask = self._values(name, train[start : start + AT_ONCE])
            if mask is not None:
                values = values[mask]
            elif self.kinds[name] == "image":
                values = np.moveaxis(values, 1, -1)
            yield values.reshape(-1, values.shape[-1])

    def _values(self, name: str, rows: Rows) -> tuple[Array, NDArray[np.bool_] | None]:
        """As they are stored: (B, *shape), of sequences padded, with a mask."""
        if offsets(name) not in self.arrays:
            return self.arrays[name][rows], None
        first, last = self.arrays[offsets(name)][rows], self.arrays[offsets(name)][rows + 1]
        return padded(self.arrays[name], first, self._cut(name, last - first))

    def _cut(self, name: str, counts: Array) -> Array:
        most = self.lengths.get(name, 0)
        return counts.clip(max=most) if most else counts

    # --- reading -------------------------------------------------------------------------------------------------

    def step_counts(self) -> NDArray[np.int64] | None:
        """(n,): steps of each row's sequences and texts together; None where all rows have as many."""
        starts = {name: pieces["offsets"] for name, pieces in self.pieces.items()}
        starts |= {n: self.arrays[offsets(n)] for n in self.kinds if n not in starts and offsets(n) in self.arrays}
        found = [self._cut(name, np.diff(where)) for name, where in starts.items()]
        total = np.sum(found, axis=0) if found else np.zeros(1, dtype=np.int64)
        return None if total.min() == total.max() else np.asarray(total)

    def present(self, name: str, rows: Rows) -> NDArray[np.bool_]:
        """Which of those rows have the modality, (B,)."""
        there = self.arrays.get(presence(name))
        return np.ones(len(rows), dtype=np.bool_) if there is None else np.asarray(there[rows])

    def inputs(self, rows: Rows) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """By modality the samples of those rows, (B, *shape), and of what has steps which are real, (B, T)."""
        found = {name: self._inputs(name, kind, rows) for name, kind in self.kinds.items()}
        masks = {name: torch.from_numpy(mask) for name, (_, mask) in found.items() if mask is not None}
        return {name: torch.from_numpy(values) for name, (values, _) in found.items()}, masks

    def _inputs(self, name: str, kind: ModalityKind, rows: Rows) -> tuple[Array, NDArray[np.bool_] | None]:
        if name in self.tables:
            return self.tables[name](rows), None
        if kind == "tokens":
            ids, starts = self.pieces[name]["ids"], self.pieces[name]["offsets"]
            values, mask = padded(ids, starts[rows], self._cut(name, starts[rows + 1] - starts[rows]))
            return values.astype(np.int64), mask
        values, real = self._values(name, rows)
        if name in self.standard:
            values = self._to_one_scale(name, values)
        if real is not None:
            values[~real] = 0
        return values, real

    def _to_one_scale(self, name: str, values: Array) -> NDArray[np.float32]:
        """Column by column; of pictures (B, C, H, W) channel by channel."""
        if values.ndim < 4:
            return self.standard[name](values)
        return np.ascontiguousarray(np.moveaxis(self.standard[name](np.moveaxis(values, 1, -1)), -1, 1))
