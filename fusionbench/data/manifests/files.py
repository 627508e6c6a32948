"""Files that a manifest names, read chunk by chunk into arrays; what was read before a stop is not read again.

    <root>/prepared/manifest-<12 hex>.unfinished/  photo.npy ...  arrays that grow
                                                   state.json     how far all of them are, and of which table

When all is read the arrays move to their place, and the folder goes.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fusionbench.core.files import write_over
from fusionbench.data.manifests.cells import is_missing
from fusionbench.data.manifests.columns import Column
from fusionbench.data.manifests.paths import Broken
from fusionbench.data.manifests.rows import Chunk, Rows
from fusionbench.data.manifests.values import TYPES, reader_of
from fusionbench.data.npy import GrowingArray
from fusionbench.data.progress import Show, progress
from fusionbench.data.store import Array
from fusionbench.data.stored import offsets

AT_ONCE = 256
"""Rows whose files are read together, and after which is noted how far all is."""
MOST_THREADS = 8
TOLD_FROM = 1000
"""Rows, from which on it is said how far the reading is."""
STATE = "state.json"


@dataclass
class _State:
    """How far all columns are."""

    origin: Any
    """JSON of the table; of another one nothing is kept."""
    rows: int = 0
    shapes: dict[str, list[int]] = field(default_factory=dict)
    """By modality the shape of a row, or of a step of a sequence; known from its first one on."""
    counts: dict[str, int] = field(default_factory=dict)
    """By file, how many rows it has."""


def write_files(
    table: Rows, columns: Sequence[Column], paths: Path, work: Path, folder: Path, origin: Any, total: int
) -> None:
    """Read all files of a table.

    Args:
        table: whose cells name them.
        columns: those of files.
        paths: the folder that they lie in, resolved.
        work: where arrays grow; what a stopped call has left there goes on.
        folder: where they go when they are whole.
        origin: JSON that changes with the table.
        total: rows of the table.

    Raises:
        UserError: a file that is none, or is not there, named by its row.
        OSError: the disk is full; what is read stays.
    """
    state = _state(work, origin)
    with ExitStack() as opened:
        grown = {one.name: opened.enter_context(_Grown(one, work, state)) for one in columns}
        pool = opened.enter_context(ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)))
        readers = {one.name: reader_of(one, paths) for one in columns}
        opened.enter_context(quiet())
        show = opened.enter_context(_told(total))
        done = 0
        for chunk in table.chunks(list({one.column: None for one in columns}), size=AT_ONCE):
            done += len(chunk)
            if done <= state.rows:
                continue
            for one in columns:
                read = partial(_read, readers[one.name])
                grown[one.name].add(chunk, list(pool.map(read, chunk.cells[one.column])), table)
            state.rows = done
            _note(work, state, grown.values())
            show(done, "files read")
    for path in work.glob("*.npy"):
        path.replace(folder / path.name)
    shutil.rmtree(work, ignore_errors=True)


def _read(reader: Any, cell: Any) -> Array | Broken | None:
    """The value, what is wrong with it, or None where the cell is empty."""
    try:
        return None if is_missing(cell) else reader(cell)
    except Broken as broken:
        return broken


class _Grown(AbstractContextManager["_Grown"]):
    """The arrays of one modality; opened when the shape of a row is known."""

    def __init__(self, column: Column, work: Path, state: _State) -> None:
        self.column, self.work, self.state, self._open = column, work, state, ExitStack()
        self.arrays: dict[str, GrowingArray] = {}
        if column.name in state.shapes:
            self._begin(state.shapes[column.name])

    def _begin(self, shape: Sequence[int]) -> None:
        self.state.shapes[self.column.name] = list(shape)
        self._grow(self.column.name, TYPES[self.column.kind], shape)
        if self.column.kind == "sequence":
            starts = self._grow(offsets(self.column.name), np.int64, ())
            if not starts.rows:
                starts.append(np.zeros(1 + self.state.rows, dtype=np.int64))
        elif not self.state.counts.get(self.column.name) and self.state.rows:
            self.arrays[self.column.name].append(np.zeros((self.state.rows, *shape), dtype=TYPES[self.column.kind]))

    def _grow(self, name: str, dtype: Any, shape: Sequence[int]) -> GrowingArray:
        kept = self.state.counts.get(name, 0)
        made = GrowingArray(self.work / f"{name}.npy", dtype, shape, kept)
        self.arrays[name] = self._open.enter_context(made)
        return made

    def add(self, chunk: Chunk, found: Sequence[Array | Broken | None], table: Rows) -> None:
        """The values of some rows; UserError of the first one that is broken or of another shape."""
        values: list[Array | None] = []
        for place, value in zip(chunk.places, found, strict=True):
            if isinstance(value, Broken):
                raise table.fault(place, f"column '{self.column.column}': {value}") from value
            if value is not None:
                self._fits(value, place, table)
            values.append(value)
        name = self.column.name
        if name not in self.arrays:  # No row so far has it: zeros are written once the shape is known.
            return
        if self.column.kind == "sequence":
            counts = [0 if value is None else len(value) for value in values]
            self.arrays[offsets(name)].append(self.arrays[name].rows + np.cumsum(counts))
            values = [value for value in values if value is not None]
            self.arrays[name].append(np.concatenate([self._blank(0), *filter(_is_there, values)]))
            return
        self.arrays[name].append(np.stack([self._blank() if value is None else value for value in values]))

    def _blank(self, *count: int) -> Array:
        return np.zeros((*count, *self.state.shapes[self.column.name]), dtype=TYPES[self.column.kind])

    def _fits(self, value: Array, place: int, table: Rows) -> None:
        shape = value.shape[1:] if self.column.kind == "sequence" else value.shape
        if self.column.name not in self.arrays:
            self._begin(shape)
        known = tuple(self.state.shapes[self.column.name])
        if shape != known:
            what = "steps of" if self.column.kind == "sequence" else "a vector of"
            raise table.fault(
                place, f"column '{self.column.column}': {what} {shape[0]} numbers; others have {known[0]}"
            )

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)


def _is_there(value: Array | None) -> bool:
    return value is not None


def _state(work: Path, origin: Any) -> _State:
    """What was noted, if it is of the same table and all files are there; else a new beginning."""
    try:
        found = _State(**json.loads((work / STATE).read_text(encoding="utf-8")))
        if found.origin == json.loads(json.dumps(origin)) and all((work / f"{n}.npy").is_file() for n in found.counts):
            return found
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return _State(origin)


def _note(work: Path, state: _State, grown: Any) -> None:
    arrays = {name: array for one in grown for name, array in one.arrays.items()}
    for array in arrays.values():
        array.synchronise()
    state.counts = {name: array.rows for name, array in arrays.items()}
    write_over(work / STATE, json.dumps(vars(state)).encode())


@contextmanager
def quiet() -> Iterator[None]:
    """Files are told of by their row: a library's warnings name none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _told(total: int) -> AbstractContextManager[Show]:
    return progress("manifest: files", total, 20) if total > TOLD_FROM else nullcontext(lambda *_: None)
