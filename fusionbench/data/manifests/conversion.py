"""A table in a file becomes arrays: once through its rows for labels, parts, texts and numbers, then its files.

All that can be wrong with the table itself is told before the first file is read, which may take hours.
"""

from __future__ import annotations

from array import array
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskKind
from fusionbench.data.manifests.columns import Column, matching
from fusionbench.data.manifests.labels import labels_of
from fusionbench.data.manifests.parts import Parts, refuse_unseen
from fusionbench.data.manifests.rows import Rows
from fusionbench.data.manifests.writers import Bools, writer_of
from fusionbench.data.progress import Show, progress
from fusionbench.data.store import Array
from fusionbench.data.stored import presence

TOLD_FROM = 50_000
"""Rows of a table, from which on it is said how far its reading is."""
NOTHING = "the row has none of its modalities; leave it out"


@dataclass(frozen=True)
class Reading:
    """How labels and parts are read."""

    labels: tuple[str, ...]
    """Columns, or patterns of several."""
    kind: TaskKind
    separator: str
    split: str
    group: str
    test: float
    """What fraction of the rows is drawn for the test."""


@dataclass(frozen=True)
class Plan:
    """What a manifest's options say, held against the file."""

    where: str
    """The data set's name."""
    table: Rows
    columns: tuple[Column, ...]
    reading: Reading
    paths: Path
    """The folder, resolved, that the files of cells lie in."""

    def against_file(self) -> Plan:
        """The same with patterns replaced by columns.

        Raises:
            UserError: the file lacks a column, or one is a label and something else as well.
        """
        where, header = str(self.table.path), self.table.header
        columns = tuple(column.named_in(where, header) for column in self.columns)
        labels = matching(where, self.reading.labels, header)
        for name in filter(None, (self.reading.split, self.reading.group)):
            matching(where, [name], header)
        read = {
            name: column.name for column in columns for name in (column.column, *column.numbers, *column.categories)
        }
        for name in labels:
            if name in read:
                raise UserError(f"{where}: column '{name}' is the label, and the modality '{read[name]}' reads it too")
        return replace(self, columns=columns, reading=replace(self.reading, labels=labels))

    @property
    def wanted(self) -> list[str]:
        """The columns that are read, each once."""
        read = self.reading
        parts = [name for column in self.columns for name in (column.column, *column.numbers, *column.categories)]
        return list(dict.fromkeys(filter(None, (*parts, *read.labels, read.split, read.group))))


def write_table(plan: Plan, folder: Path) -> NDArray[np.int64]:
    """Write all but what lies in files of its own.

    Args:
        plan: held against the file.
        folder: where the arrays go.

    Returns:
        (n,): where each row stands.

    Raises:
        UserError: a row that cannot be read, or data that no model can be trained on.
    """
    where, places, there = str(plan.table.path), array("q"), list[Bools]()
    labels = labels_of(where, plan.reading.kind, plan.reading.labels, plan.reading.separator)
    parts = Parts(where, plan.reading.split, plan.reading.group)
    with ExitStack() as opened:
        writers = [opened.enter_context(writer_of(plan.table, column, folder, plan.paths)) for column in plan.columns]
        show = opened.enter_context(_told(plan))
        for chunk in plan.table.chunks(plan.wanted):
            labels.add(chunk, plan.table.refuse)
            parts.add(chunk, plan.table.refuse)
            found = np.stack([writer.add(chunk, plan.table.refuse) for writer in writers], 1)  # (k, M)
            if not found.any(1).all():
                plan.table.refuse(chunk.places[int(np.argmin(found.any(1)))], NOTHING)
            there.append(found)
            places.extend(chunk.places)
            show(chunk.places[-1], plan.table.path.name)
    if not places:
        raise UserError(f"{where}: the names of columns, and no row")
    lines = np.frombuffer(places, dtype=np.int64)
    _save(folder, plan, labels.arrays(), parts, np.concatenate(there), lines)
    return lines


def _told(plan: Plan) -> AbstractContextManager[Show]:
    total = plan.table.last_place
    return progress(f"{plan.where}: reading", total, 10) if total > TOLD_FROM else nullcontext(lambda *_: None)


def _save(
    folder: Path, plan: Plan, targets: dict[str, Array], parts: Parts, there: Bools, places: NDArray[np.int64]
) -> None:
    arrays = targets | parts.arrays(targets, plan.reading.test)
    refuse_unseen(plan.table.place(""), plan.reading.kind, arrays, places)
    for at, column in enumerate(plan.columns):
        if not there[:, at].any():
            raise UserError(f"{plan.table.path}: the modality '{column.name}' is missing in all rows")
        if not there[:, at].all():
            arrays[presence(column.name)] = there[:, at]
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
