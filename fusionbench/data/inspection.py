"""A table looked at as a whole, once through its rows and once through the files that they name; nothing is stored.

What cannot be read is counted and named by its line, and ends nothing. No torch here.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.data.equal_contents import Equal, Hashes, between_parts, hashes_of, mixed, repeated
from fusionbench.data.manifests.cells import is_missing, words_in
from fusionbench.data.manifests.columns import columns_of
from fusionbench.data.manifests.files import AT_ONCE, MOST_THREADS, quiet
from fusionbench.data.manifests.parts import PARTS
from fusionbench.data.manifests.paths import Broken
from fusionbench.data.manifests.rows import Chunk, Rows
from fusionbench.data.manifests.values import reader_of
from fusionbench.data.profiles import LOOKED_AT, MOST_COUNTED, Profile
from fusionbench.data.progress import Show, progress
from fusionbench.data.roles import Roles, Said, roles_of

TOLD_FROM = 50_000
"""Rows from which on it is said how far the reading is."""
NAMED = 5
"""So many faults of a kind are named by their line."""
OF_FILES = ("image", "audio", "npy")
UNKNOWN_PART = -1


@dataclass
class Faults:
    """What is wrong, in so many places."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: str, what: str) -> None:
        """One more."""
        self.count += 1
        if self.count <= NAMED:
            self.first.append(f"{place}: {what}")


@dataclass
class Inspection:
    """All that was found."""

    table: Rows
    roles: Roles
    profiles: dict[str, Profile]
    places: NDArray[np.int64]
    """(n,): where each row stands."""
    unreadable: Faults
    """Rows that are none; they are in no other number."""
    files: dict[str, Faults]
    """By column of files, those that cannot be read; empty where files were not looked at."""
    parts: NDArray[np.int8]
    """(n,): of each row; -1 where the column says something else. Empty without such a column."""
    classes: Counter[tuple[int, str]] | None
    """By part and class; None: too many."""
    empty: int = 0
    """Rows without any modality."""
    same: tuple[int, tuple[int, int] | None] = (0, None)
    """Rows whose modalities equal those of a row before; and a first pair."""
    shared: dict[str, list[Equal]] = field(default_factory=dict)
    """Between parts: of whole rows by "", of a text or file by its column."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Of columns of arrays: vector or sequence."""


def inspected(table: Rows, said: Said, paths: Path, *, files: bool) -> Inspection:
    """Look at a table.

    Args:
        table: the file.
        said: what the user says of its columns.
        paths: the folder, resolved, that the files of cells lie in.
        files: whether they are opened.

    Raises:
        UserError: the table cannot be read at all, or lacks a column that was named.
    """
    unreadable = Faults()
    header = table.header
    profiles = {name: Profile(name) for name in header}
    for chunk in islice(table.chunks(header, _told_of(table, Faults()), LOOKED_AT), 1):
        for name, cells in chunk.cells.items():
            profiles[name].add(cells)
    roles = roles_of(str(table.path), header, profiles, said)
    looked = _Looked(header, roles, profiles)
    with ExitStack() as opened:
        show = opened.enter_context(_shown(table))
        for chunk in table.chunks(header, _told_of(table, unreadable)):
            looked.add(chunk)
            show(chunk.places[-1], table.path.name)
    if not looked.places:
        raise UserError(f"{table.path}: no row that can be read{_first(unreadable)}")
    roles = roles_of(str(table.path), header, looked.profiles, said)
    found = looked.found(table, roles, unreadable)
    if files:
        _look_at_files(found, looked, paths)
    if len(found.parts):
        rows = {"": looked.whole_rows()} | {name: np.concatenate(one) for name, one in looked.single.items()}
        shared = {name: between_parts(one, found.parts, looked.is_there(name)) for name, one in rows.items()}
        found.shared = {name: equal for name, equal in shared.items() if equal}
    found.same = repeated(looked.whole_rows())
    return found


class _Looked:
    """What is gathered while the rows go by."""

    def __init__(self, header: Sequence[str], roles: Roles, sample: dict[str, Profile]) -> None:
        self.roles, self.profiles = roles, {name: Profile(name) for name in header}
        taken = {name: sample[name].taken_for for name in header if name not in roles.named}
        self.read = [name for name, kind in taken.items() if kind not in ("id", "nothing")]
        """Columns that are modalities, as far as the first rows show."""
        alone = [name for name in self.read if taken[name] in ("tokens", *OF_FILES)]
        self.single: dict[str, list[Hashes]] = {name: [] for name in alone}
        self.other: list[Hashes] = []
        self.places, self.parts = array("q"), array("b")
        self.classes: Counter[tuple[int, str]] | None = Counter()
        self.empty = 0

    def add(self, chunk: Chunk) -> None:
        for name, cells in chunk.cells.items():
            self.profiles[name].add(cells)
        hashes = {name: hashes_of(chunk.cells[name]) for name in self.read}
        for name, kept in self.single.items():
            kept.append(hashes[name])
        self.other.append(mixed([hashes[name] for name in self.read if name not in self.single], len(chunk)))
        self.places.extend(chunk.places)
        self.empty += self._without_any(chunk)
        parts = [0] * len(chunk)
        if self.roles.split:
            parts = [PARTS.get(name.lower(), UNKNOWN_PART) for name in words_in(chunk.cells[self.roles.split])]
            self.parts.extend(parts)
        if len(self.roles.labels) == 1 and self.classes is not None:
            self.classes.update(zip(parts, words_in(chunk.cells[self.roles.labels[0]]), strict=True))
            self.classes = self.classes if len(self.classes) <= MOST_COUNTED else None

    def _without_any(self, chunk: Chunk) -> int:
        rows: Sequence[int] = range(len(chunk))
        for name in self.read:  # Nearly always no row is left after the first column.
            cells = chunk.cells[name]
            rows = [row for row in rows if is_missing(cells[row])]
        return len(rows) if self.read else 0

    def whole_rows(self) -> Hashes:
        """Of all modalities together."""
        return mixed([np.concatenate(one) for one in (self.other, *self.single.values())], len(self.places))

    def is_there(self, name: str) -> NDArray[np.bool_] | None:
        """Where a column's cell is not empty."""
        return np.concatenate(self.single[name]) != hashes_of([None])[0] if name else None

    def found(self, table: Rows, roles: Roles, unreadable: Faults) -> Inspection:
        places, parts = np.array(self.places, dtype=np.int64), np.array(self.parts, dtype=np.int8)
        return Inspection(table, roles, self.profiles, places, unreadable, {}, parts, self.classes, self.empty)


def _look_at_files(found: Inspection, looked: _Looked, paths: Path) -> None:
    """Open all of them; what they hold takes the place of their names."""
    kinds = {name: found.profiles[name].taken_for for name in looked.read if name not in found.roles.named}
    columns = {name: kind for name, kind in kinds.items() if kind in OF_FILES and name in looked.single}
    if not columns:
        return
    found.files = {name: Faults() for name in columns}
    found.kinds = {name: _of_array(found.profiles[name], paths) for name, kind in columns.items() if kind == "npy"}
    given = {name: found.kinds.get(name, kind) for name, kind in columns.items()}
    readers = {one.name: reader_of(one, paths) for one in columns_of("inspect", given)}
    contents: dict[str, list[Hashes]] = {name: [] for name in columns}
    with ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)))
        opened.enter_context(quiet())
        show = opened.enter_context(progress("inspect: files", len(found.places), 20))
        done = 0
        for chunk in found.table.chunks(list(columns), lambda *_: None, AT_ONCE):
            done += len(chunk)
            for name in columns:
                some = list(pool.map(partial(_digest, readers[name]), chunk.cells[name]))
                _add_broken(found, name, chunk, some)
                contents[name].append(_digests(some, chunk.cells[name]))
            show(done, "files read")
    looked.single |= contents


def _add_broken(found: Inspection, name: str, chunk: Chunk, some: Sequence[int | Broken | None]) -> None:
    for place, one in zip(chunk.places, some, strict=True):
        if isinstance(one, Broken):
            found.files[name].add(found.table.place(place), str(one))


def _digest(read: Any, cell: Any) -> int | Broken | None:
    try:
        return None if is_missing(cell) else int.from_bytes(blake2b(read(cell).tobytes(), digest_size=8).digest())
    except Broken as broken:
        return broken


def _digests(some: Sequence[int | Broken | None], cells: Sequence[Any]) -> Hashes:
    """Of what is broken, that of its name."""
    names, none = hashes_of(cells), hashes_of([None])[0]
    known = [
        none if one is None else name if isinstance(one, Broken) else one for one, name in zip(some, names, strict=True)
    ]
    return np.array(known, dtype=np.uint64)


def _of_array(profile: Profile, paths: Path) -> str:
    """Whether paths lead to vectors or sequences: as the first that can be read."""
    (vector,) = columns_of("inspect", {profile.name: "vector"})
    for cell in profile.first[:NAMED]:
        try:
            reader_of(vector, paths)(cell)
        except Broken as broken:
            if "a vector is" in str(broken):
                return "sequence"
            continue
        return "vector"
    return "sequence"


def _told_of(table: Rows, faults: Faults) -> Any:
    return lambda number, what: faults.add(table.place(number), what)


def _shown(table: Rows) -> AbstractContextManager[Show]:
    total = table.last_place
    return progress("inspect: reading", total, 10) if total > TOLD_FROM else nullcontext(lambda *_: None)


def _first(unreadable: Faults) -> str:
    return f"; {unreadable.first[0]}" if unreadable.first else ""
