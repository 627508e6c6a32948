"""Stored texts as subwords, which are found in the training rows once for a split and read by all runs that share it.

<root>/prepared/<name>_pieces-<12 hex>/  ids.npy       int32 (total,): the subwords of all rows, one row after another
                                         offsets.npy   int64 (n + 1,): where each row's begin
                                         pieces.model  sentencepiece's
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.data.npy import GrowingArray
from fusionbench.data.pieces import piece_names, pieces_model, pieces_of
from fusionbench.data.progress import Show, progress
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array, open_arrays, prepared, prepared_folder

LONGEST_TEXT = 16_000
"""Characters of a text that subwords are looked for in."""
MOST_TEXTS = 100_000
"""Training texts that subwords are looked for in; of more, so many are drawn, the same every time."""
AT_ONCE = 20_000
"""Texts that are cut together."""
TOLD_FROM = 50_000
"""Of so many texts on it is said how far the cutting is."""
MODEL = "pieces.model"
UNKNOWN = 1
"""The subword of a letter that no training text has."""


def subwords(
    root: Path, name: str, decided: Mapping[str, Any], texts: tuple[Array, Array], pieces: int, train: Rows
) -> dict[str, Array]:
    """The ids of all texts and where each one's begin, `ids` and `offsets`; found unless they are stored.

    A text in which no subword is found has the unknown one; a row without any byte has none at all.

    Args:
        root: the data folder.
        name: the dataset's.
        decided: JSON of what decides them: the texts and the split.
        texts: uint8 (total,), UTF-8, and int64 (n + 1,), where each row begins.
        pieces: how many are looked for at most.
        train: the rows that they are found in.

    Raises:
        UserError: the data folder cannot be written, or the disk is full.
    """

    def convert(folder: Path) -> None:
        values, starts = np.asarray(texts[0]), np.asarray(texts[1])
        drawn = _drawn(train[np.diff(starts)[train] > 0])
        model = pieces_model([text[:LONGEST_TEXT] for text in _texts(values, starts, drawn)], pieces)
        (folder / MODEL).write_bytes(model)
        with (
            GrowingArray(folder / "ids.npy", np.int32) as ids,
            GrowingArray(folder / "offsets.npy", np.int64) as offsets,
            _told(name, len(starts) - 1) as show,
        ):
            offsets.append(np.zeros(1, dtype=np.int64))
            for start in range(0, len(starts) - 1, AT_ONCE):
                rows = np.arange(start, min(start + AT_ONCE, len(starts) - 1))
                found = pieces_of(model, _texts(values, starts, rows))
                there = np.diff(starts)[rows] > 0
                found = [one if len(one) or not some else ALONE for one, some in zip(found, there, strict=True)]
                offsets.append(ids.rows + np.cumsum([len(one) for one in found]))
                ids.append(np.concatenate(found).astype(np.int32))
                show(int(rows[-1]) + 1, "texts cut")

    found = open_arrays(prepared(root, f"{name}_pieces", decided, None, convert))
    return {part: np.asarray(array) for part, array in found.items()}


def subword_names(root: Path, name: str, decided: Mapping[str, Any]) -> list[str]:
    """The subword of each id; empty where an older fusionbench found them, which did not keep their model.

    Args:
        root: the data folder.
        name: the dataset's.
        decided: as of `subwords`.
    """
    model = prepared_folder(root, f"{name}_pieces", decided) / MODEL
    return piece_names(model.read_bytes()) if model.is_file() else []


ALONE: NDArray[np.int64] = np.array([UNKNOWN])


def _told(name: str, count: int) -> AbstractContextManager[Show]:
    return progress(f"{name}: subwords", count, lines=10) if count > TOLD_FROM else nullcontext(lambda *_: None)


def _drawn(rows: Rows) -> Rows:
    if len(rows) <= MOST_TEXTS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_TEXTS, replace=False))


def _texts(values: Array, starts: Array, rows: Rows) -> list[str]:
    return [values[starts[row] : starts[row + 1]].tobytes().decode() for row in rows.tolist()]
