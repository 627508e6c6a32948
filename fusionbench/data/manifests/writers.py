"""Texts and tables of a manifest on their way into arrays, chunk by chunk; what the files are is said in stored.py."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import shown
from fusionbench.data.manifests.cells import is_missing, numbers_in, present_in, word
from fusionbench.data.manifests.columns import Column
from fusionbench.data.manifests.lines import Fault
from fusionbench.data.manifests.paths import Broken, file_at
from fusionbench.data.manifests.rows import Chunk, Rows
from fusionbench.data.npy import GrowingArray
from fusionbench.data.stored import offsets, pieces_for, vocabulary

MOST_VALUES = 100_000
"""Categories of a column, known or not."""
CODES = 0x110000

Bools = NDArray[np.bool_]


class Writer:
    """Writes one modality; a context manager whose end, without an error, makes the files whole."""

    def __init__(self, table: Rows, column: Column, folder: Path) -> None:
        self.table, self.column, self.folder, self._open = table, column, folder, ExitStack()

    def add(self, chunk: Chunk, told: Fault) -> Bools:
        """Write some rows, and say which have the modality, (k,); `told` hears of what cannot be read."""
        return present_in(chunk.cells[self.column.column])

    def grows(self, name: str, dtype: Any, shape: Sequence[int] = ()) -> GrowingArray:
        """An array that grows with the rows."""
        return self._open.enter_context(GrowingArray(self.folder / f"{name}.npy", dtype, shape))

    def finish(self) -> None:
        """Write what is known only at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
        if kind is None:
            self.finish()


class TextWriter(Writer):
    """Bytes of UTF-8, one text after the other."""

    def __init__(self, table: Rows, column: Column, folder: Path) -> None:
        super().__init__(table, column, folder)
        self.bytes, self.starts = self.grows(column.name, np.uint8), self.grows(offsets(column.name), np.int64)
        self.starts.append(np.zeros(1, dtype=np.int64))
        self.letters = np.zeros(CODES, dtype=bool)

    def add(self, chunk: Chunk, told: Fault) -> Bools:
        """An empty text is a missing one."""
        texts = [
            self._text(cell, place, told)
            for cell, place in zip(chunk.cells[self.column.column], chunk.places, strict=True)
        ]
        found = [text.encode() for text in texts]
        self.starts.append(self.bytes.rows + np.cumsum([len(one) for one in found]))
        self.bytes.append(np.frombuffer(b"".join(found), dtype=np.uint8))
        self.letters[np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)] = True
        return np.fromiter(map(bool, found), dtype=bool, count=len(found))

    def _text(self, cell: Any, place: int, told: Fault) -> str:
        if is_missing(cell):
            return ""
        try:
            cell.encode()
        except (AttributeError, UnicodeEncodeError):
            told(place, f"column '{self.column.column}' holds {shown(cell)}, no text")
            return ""
        return str(cell)

    def finish(self) -> None:
        """How many subwords are looked for."""
        if self.column.kind == "tokens":
            pieces = pieces_for(int(np.count_nonzero(self.letters)), self.bytes.rows)
            np.save(self.folder / f"{vocabulary(self.column.name)}.npy", np.array([pieces]))


class TableWriter(Writer):
    """Numbers and categories; see tables.py."""

    def __init__(self, table: Rows, column: Column, folder: Path) -> None:
        super().__init__(table, column, folder)
        self.numbers = self.grows(f"{column.name}.numbers", np.float64, (len(column.numbers),))
        self.missing = self.grows(f"{column.name}.missing", np.bool_, (len(column.numbers),))
        self.categories = self.grows(f"{column.name}.categories", np.int32, (len(column.categories),))
        self.known: list[dict[str, int]] = [{} for _ in column.categories]
        self.any_missing = False

    def add(self, chunk: Chunk, told: Fault) -> Bools:
        """A row has it where any of its cells is there."""
        numbers = np.zeros((len(chunk), len(self.column.numbers)))
        for at, name in enumerate(self.column.numbers):
            numbers[:, at], wrong = numbers_in(chunk.cells[name])
            for row, what in wrong.items():
                told(chunk.places[row], f"column '{name}': {what}")
        missing = np.isnan(numbers)
        self.any_missing |= bool(missing.any())
        self.numbers.append(np.where(missing, 0.0, numbers))
        self.missing.append(missing)
        ids = [self._ids(at, name, chunk) for at, name in enumerate(self.column.categories)]
        categories = np.stack(ids, 1) if ids else np.zeros((len(chunk), 0), dtype=np.int32)
        self.categories.append(categories)
        return np.asarray((~missing).any(1) | (categories > 0).any(1))

    def _ids(self, at: int, name: str, chunk: Chunk) -> NDArray[np.int32]:
        known = self.known[at]
        names = map(word, chunk.cells[name])
        found = [known.setdefault(one, 1 + len(known)) if one else 0 for one in names]
        if len(known) > MOST_VALUES:
            more = f"column '{name}' has more than {MOST_VALUES:,} different values up to here"
            raise self.table.fault(chunk.places[-1], f"{more}; it is no category: make it a text, or leave it out")
        return np.array(found, dtype=np.int32)

    def finish(self) -> None:
        """The names of categories; arrays that say nothing go."""
        name = self.column.name
        for at, known in enumerate(self.known):
            np.save(self.folder / f"{name}.names.{at}.npy", np.array(list(known), dtype=np.str_))
        if not self.any_missing:
            (self.folder / f"{name}.missing.npy").unlink()
        if not self.known:
            (self.folder / f"{name}.categories.npy").unlink()


class FileNames(Writer):
    """Nothing is written: files are read when the whole table has been; here it is seen whether they are there."""

    def __init__(self, table: Rows, column: Column, folder: Path, paths: Path) -> None:
        super().__init__(table, column, folder)
        self.paths = paths

    def add(self, chunk: Chunk, told: Fault) -> Bools:
        """Where a cell is not empty."""
        cells = chunk.cells[self.column.column]
        there = present_in(cells)
        for row in np.flatnonzero(there).tolist():
            try:
                if not isinstance(cells[row], list):
                    file_at(self.paths, cells[row])
            except Broken as broken:
                told(chunk.places[row], f"column '{self.column.column}': {broken}")
        return there


def writer_of(table: Rows, column: Column, folder: Path, paths: Path) -> Writer:
    """What writes a modality while the table is read.

    Args:
        table: that is read.
        column: the modality.
        folder: where arrays go.
        paths: the folder, resolved, that the files of cells lie in.
    """
    if column.is_of_files:
        return FileNames(table, column, folder, paths)
    return (TableWriter if column.is_table else TextWriter)(table, column, folder)
