"""Which rows of a manifest are for the test, which for validation, and which belong together.

    rows.part.npy     int8 (n,): 0 to train on, 1 for validation, 2 for the test; without any 1, a seed draws those
    rows.groups.npy   int64 (n,): the same where rows belong together; not there where every row is for itself

A column may say it; else the test rows are drawn once and for all: the same fraction of every class (of numbers to
predict, of every tenth), groups whole.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown
from fusionbench.core.task import TaskKind
from fusionbench.data.array_files import VALIDATION, strata
from fusionbench.data.manifests.cells import word
from fusionbench.data.manifests.lines import Fault
from fusionbench.data.manifests.rows import Chunk
from fusionbench.data.splits import Rows, Split, held_out
from fusionbench.data.store import Array

TRAIN, HELD_OUT, TEST = 0, 1, 2
PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), HELD_OUT),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""What a column may call a part, in any case."""
NAMES = ("train", "validation", "test")
FEWEST = 10
TEST_SEED = 20_261_201
"""Draws the test rows, once and for all."""


class Parts:
    """Reads parts and groups, chunk by chunk.

    Args:
        where: the file.
        split: the column of parts; empty: they are drawn.
        group: the column of groups; empty: every row is for itself.
    """

    def __init__(self, where: str, split: str, group: str) -> None:
        self.where, self.split, self.group = where, split, group
        self.parts, self.groups, self.known = array("b"), array("q"), dict[str, int]()

    def add(self, chunk: Chunk, told: Fault) -> None:
        """Those of some rows; `told` hears of what is none."""
        if self.split:
            for place, cell in zip(chunk.places, chunk.cells[self.split], strict=True):
                part = PARTS.get(word(cell).lower())
                if part is None:
                    held = shown(word(cell)) if word(cell) else "nothing"
                    told(place, f"column '{self.split}' holds {held}; parts are called {', '.join(NAMES)}")
                self.parts.append(part or 0)
        if self.group:
            for place, cell in zip(chunk.places, chunk.cells[self.group], strict=True):
                name = word(cell)
                if not name:
                    told(place, f"no group in column '{self.group}'; a row by itself needs one of its own")
                self.groups.append(self.known.setdefault(name, len(self.known)))

    def arrays(self, targets: dict[str, Array], fraction: float) -> dict[str, Array]:
        """By file name.

        Args:
            targets: as `labels` has them.
            fraction: of the rows that is drawn for the test.

        Raises:
            UserError: too few rows, groups or parts.
        """
        labels = stratum(targets)
        groups = np.frombuffer(self.groups, dtype=np.int64) if self.group else None
        if len(labels) < FEWEST:
            raise UserError(
                f"{self.where}: {len(labels)} row{'s' * (len(labels) != 1)}; training, validation and test need at "
                f"least {FEWEST} together"
            )
        if groups is not None and len(self.known) < len(NAMES):
            raise UserError(f"{self.where}: {len(self.known)} groups; training, validation and test need one each")
        parts = self._stated(groups) if self.split else _drawn(self.where, labels, fraction, groups)
        found: dict[str, Array] = {"rows.part": parts}
        return found if groups is None else {**found, "rows.groups": groups}

    def _stated(self, groups: NDArray[np.int64] | None) -> NDArray[np.int8]:
        parts = np.frombuffer(self.parts, dtype=np.int8)
        counts = np.bincount(parts, minlength=len(NAMES))
        for part in (TRAIN, TEST):
            if not counts[part]:
                raise UserError(
                    f"{self.where}: column '{self.split}' has no row of the part {NAMES[part]}; without `split` the "
                    "test rows are drawn"
                )
        if groups is not None:
            self._refuse_shared(groups, parts)
        return parts

    def _refuse_shared(self, groups: NDArray[np.int64], parts: NDArray[np.int8]) -> None:
        low, high = (np.full(len(self.known), start, dtype=np.int8) for start in (TEST, TRAIN))
        np.minimum.at(low, groups, parts)
        np.maximum.at(high, groups, parts)
        shared = np.flatnonzero(low != high)
        if len(shared):
            name = list(self.known)[shared[0]]
            one, other = NAMES[low[shared[0]]], NAMES[high[shared[0]]]
            raise UserError(f"{self.where}: group {shown(name)} has rows in {one} and in {other}; keep groups whole")


def _drawn(
    where: str, labels: NDArray[np.int64], fraction: float, groups: NDArray[np.int64] | None
) -> NDArray[np.int8]:
    _, held = held_out(labels, fraction, np.random.default_rng(TEST_SEED), groups)
    if not len(held):
        raise UserError(
            f"{where}: no row can be drawn for the test without a class losing its last one; give more rows, or `split`"
        )
    parts = np.zeros(len(labels), dtype=np.int8)
    parts[held] = TEST
    return parts


def stratum(targets: dict[str, Array]) -> NDArray[np.int64]:
    """One class per row, for splits that keep classes in proportion; of several labels the rarest, as `strata` says.

    >>> import numpy as np
    >>> stratum({"labels": np.array([0, 1, 0, 0]), "labels.offsets": np.array([0, 2, 3, 3, 4])}).tolist()
    [1, 0, -1, 0]
    """
    if "targets" in targets:
        return strata(np.asarray(targets["targets"]))
    ids, offsets = np.asarray(targets["labels"]), np.asarray(targets["labels.offsets"])
    order = np.argsort(np.argsort(np.bincount(ids), kind="stable"), kind="stable")  # The rarest class comes first.
    found = np.full(len(offsets) - 1, -1, dtype=np.int64)
    some = np.flatnonzero(np.diff(offsets))
    rarest = np.minimum.reduceat(order[ids], offsets[some])
    found[some] = np.argsort(order)[rarest]
    return found


def split_of(arrays: dict[str, Array], seed: int, where: str) -> Split:
    """The parts as stored, validation rows drawn by seed where none are.

    Raises:
        UserError: no row can be held out for validation.
    """
    parts = np.asarray(arrays["rows.part"])
    train, held, test = (np.flatnonzero(parts == part) for part in (TRAIN, HELD_OUT, TEST))
    if len(held):
        return Split(train, held, test)
    groups = np.asarray(arrays["rows.groups"])[train] if "rows.groups" in arrays else None
    kept, drawn = held_out(stratum(arrays)[train], VALIDATION, np.random.default_rng(seed), groups)
    if not len(drawn):
        raise UserError(
            f"{where}: no row of the {len(train)} to train on can be kept for validation; give more rows of each class"
        )
    return Split(train[kept], train[drawn], test)


def refuse_unseen(where: str, kind: TaskKind, arrays: dict[str, Array], place: Rows) -> None:
    """Raises UserError if a row of validation or test has a class that no row to train on has.

    Args:
        where: the file, and what it calls a place: `people.csv, line`.
        kind: of the task.
        arrays: targets and parts.
        place: (n,) of each row.
    """
    if kind == "regression":
        return
    parts = np.asarray(arrays["rows.part"])
    if kind == "multiclass":
        ids, row = np.asarray(arrays["targets"]), np.arange(len(parts))
    else:
        ids = np.asarray(arrays["labels"])
        row = np.repeat(np.arange(len(parts)), np.diff(arrays["labels.offsets"]))
    known = np.bincount(ids[parts[row] == TRAIN], minlength=len(arrays["targets.names"])) > 0
    unseen = np.flatnonzero((parts[row] != TRAIN) & ~known[ids])
    if len(unseen):
        first = row[unseen[0]]
        name, part = str(arrays["targets.names"][ids[unseen[0]]]), NAMES[parts[first]]
        raise UserError(f"{where}{place[first]}: class {shown(name)} ({part}), which no row to train on has")
