"""The labels of a manifest, read chunk by chunk: classes, several of them, or numbers to predict.

targets.npy             int64 (n,) classes, or float64 (n, C) numbers to predict
labels.npy              int32 (total,): of a multilabel task the classes of all rows, one row after the other
labels.offsets.npy      int64 (n + 1,): where each row's begin
targets.names.npy       (C,): what the classes, or the numbers, are called
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown
from fusionbench.core.task import TaskKind
from fusionbench.data.manifests.cells import numbers_in, word
from fusionbench.data.manifests.lines import Fault
from fusionbench.data.manifests.rows import Chunk
from fusionbench.data.store import Array

MOST_CLASSES = 100_000
LONGEST_NAME = 200
"""Characters of a class's name; what is longer is a text."""
TRUE, FALSE = ("1", "1.0", "true", "True", "TRUE", "yes"), ("0", "0.0", "false", "False", "FALSE", "no", "")
SEPARATOR = ","


class Labels(Protocol):
    """Reads labels."""

    def add(self, chunk: Chunk, told: Fault) -> None:
        """Those of some rows; `told` hears of what is none."""

    def arrays(self) -> dict[str, Array]:
        """By file name; UserError where there is nothing to learn."""


def labels_of(where: str, kind: TaskKind, columns: Sequence[str], separator: str) -> Labels:
    """What reads them.

    Args:
        where: the file.
        kind: of the task.
        columns: of the file: one, or of a multilabel task one for each class, or one for each number to predict.
        separator: between the labels of a cell, where a multilabel task has one column.

    Raises:
        UserError: several columns for one class.
    """
    if kind == "regression":
        return _Numbers(where, columns)
    if kind == "multilabel":
        return _Flags(where, columns) if len(columns) > 1 else _Lists(where, columns[0], separator or SEPARATOR)
    if len(columns) > 1:
        raise UserError(
            f"{where}: {len(columns)} columns of labels; a multiclass task has one; `kind: multilabel` takes a column "
            "of zeros and ones for each class, `kind: regression` numbers to predict"
        )
    return _Classes(where, columns[0])


class _Names:
    """Classes numbered as they come, and in the order of their names at the end."""

    def __init__(self, where: str, column: str) -> None:
        self.where, self.column, self.known = where, column, dict[str, int]()

    def number(self, name: str, rows: int) -> int:
        found = self.known.setdefault(name, len(self.known))
        if found >= MOST_CLASSES or len(name) > LONGEST_NAME:
            raise self.refused(name, rows)
        return found

    def refused(self, name: str, rows: int) -> UserError:
        where = f"{self.where}: column '{self.column}'"
        if len(name) > LONGEST_NAME:
            return UserError(f"{where}: a label of {len(name):,} characters, {shown(name)}; is this column a text?")
        way = "name another column as `label`; `kind: regression` predicts numbers"
        return UserError(f"{where}: more than {MOST_CLASSES:,} classes in the first {rows:,} rows; {way}")

    def ordered(self) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        """Names in order, whole numbers by size; and the place of each number among them."""
        whole = all(name.lstrip("-").isdecimal() for name in self.known)
        names = sorted(self.known, key=lambda name: (int(name), name) if whole else (0, name))
        places = np.zeros(len(names), dtype=np.int64)
        places[[self.known[name] for name in names]] = np.arange(len(names))
        return np.array(names, dtype=np.str_), places


class _Classes:
    """One class a row."""

    def __init__(self, where: str, column: str) -> None:
        self.where, self.column, self.names, self.ids = where, column, _Names(where, column), array("i")

    def add(self, chunk: Chunk, told: Fault) -> None:
        for place, cell in zip(chunk.places, chunk.cells[self.column], strict=True):
            if isinstance(cell, list | dict):
                told(place, f"column '{self.column}' holds several labels; `kind: multilabel` takes them")
                continue
            name = word(cell)
            if not name:
                told(place, f"no label in column '{self.column}'; leave the row out, or fill it in")
                continue
            self.ids.append(self.names.number(name, len(self.ids) + 1))

    def arrays(self) -> dict[str, Array]:
        names, places = self.names.ordered()
        rows, where = len(self.ids), f"{self.where}: column '{self.column}'"
        if len(names) == 1:
            raise UserError(
                f"{where}: all rows are of one class, {shown(str(names[0]))}; there is nothing to tell apart"
            )
        if len(names) > max(2, rows // 2):
            raise UserError(
                f"{where}: {len(names):,} classes in {rows:,} rows; too few rows of each. Are these classes? "
                "`kind: regression` predicts numbers"
            )
        return {"targets": places[np.frombuffer(self.ids, dtype=np.int32)], "targets.names": names}


class _Several:
    """Any number of classes a row."""

    def __init__(self, where: str) -> None:
        self.where, self.ids, self.offsets = where, array("i"), array("q", [0])

    def put(self, ids: Iterable[int]) -> None:
        self.ids.extend(sorted(set(ids)))
        self.offsets.append(len(self.ids))

    def stored(self, names: NDArray[np.str_], ids: NDArray[Any]) -> dict[str, Array]:
        counts = np.bincount(ids, minlength=len(names))
        if not ((counts > 0) & (counts < len(self.offsets) - 1)).any():
            raise UserError(f"{self.where}: no class is true of some rows and not of others; there is nothing to learn")
        offsets = np.frombuffer(self.offsets, dtype=np.int64)
        return {"labels": ids.astype(np.int32), "labels.offsets": offsets, "targets.names": names}


class _Lists(_Several):
    """A list in each cell, or names with something between them; an empty cell is a row of no class."""

    def __init__(self, where: str, column: str, separator: str) -> None:
        super().__init__(where)
        self.column, self.separator, self.names = column, separator, _Names(where, column)

    def add(self, chunk: Chunk, told: Fault) -> None:
        for place, cell in zip(chunk.places, chunk.cells[self.column], strict=True):
            if isinstance(cell, dict) or (isinstance(cell, list) and any(isinstance(one, list | dict) for one in cell)):
                told(place, f"column '{self.column}' holds {shown(cell)}; a list of labels is needed")
                continue
            parts = cell if isinstance(cell, list) else word(cell).split(self.separator)
            found = [name for name in map(word, parts) if name]
            self.put(self.names.number(name, len(self.offsets)) for name in found)

    def arrays(self) -> dict[str, Array]:
        names, places = self.names.ordered()
        return self.stored(names, places[np.frombuffer(self.ids, dtype=np.int32)])


class _Flags(_Several):
    """A column of zeros and ones for each class."""

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        super().__init__(where)
        self.columns = columns

    def add(self, chunk: Chunk, told: Fault) -> None:
        for place, *cells in zip(chunk.places, *(chunk.cells[name] for name in self.columns), strict=True):
            words = [word(cell) for cell in cells]
            wrong = next(
                (at for at, one in enumerate(words) if one not in TRUE and (one not in FALSE or not one)), None
            )
            if wrong is not None:
                held = shown(words[wrong]) if words[wrong] else "nothing"
                told(place, f"column '{self.columns[wrong]}' holds {held}; a column for each class has zeros and ones")
                continue
            self.put(at for at, one in enumerate(words) if one in TRUE)

    def arrays(self) -> dict[str, Array]:
        return self.stored(np.array(self.columns, dtype=np.str_), np.frombuffer(self.ids, dtype=np.int32))


class _Numbers:
    """Numbers to predict."""

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        self.where, self.columns, self.parts = where, columns, list[NDArray[np.float64]]()

    def add(self, chunk: Chunk, told: Fault) -> None:
        found = []
        for column in self.columns:
            values, wrong = numbers_in(chunk.cells[column])
            for at in np.flatnonzero(np.isnan(values)).tolist():
                missing = f"no number in column '{column}'; leave the row out, or fill it in"
                told(chunk.places[at], f"column '{column}': {wrong[at]}" if at in wrong else missing)
            found.append(values)
        self.parts.append(np.stack(found, 1))

    def arrays(self) -> dict[str, Array]:
        values = np.concatenate(self.parts)
        same = np.flatnonzero(values.min(0) == values.max(0))
        if len(same):
            column, value = self.columns[same[0]], values[0, same[0]]
            raise UserError(f"{self.where}: column '{column}' is {value:g} in all rows; there is nothing to learn")
        return {"targets": values, "targets.names": np.array(self.columns, dtype=np.str_)}
