"""Splits: which rows are for training, validation and test. The seed moves validation only; test rows never move."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows of the dataset, sorted, int64."""

    train: Rows
    validation: Rows
    test: Rows
    drawn: NDArray[np.int64] | None = None
    """What the rows stand for, where a seed draws that too (pairs); counts in `sha256`."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    @property
    def sha256(self) -> str:
        """SHA-256 of the three lists of rows, and of what was drawn besides."""
        total = hashlib.sha256()
        for rows in (self.train, self.validation, self.test):
            total.update(np.asarray(len(rows), dtype="<i8").tobytes())
            total.update(np.ascontiguousarray(rows, dtype="<i8").tobytes())
        if self.drawn is not None:
            total.update(np.ascontiguousarray(self.drawn, dtype="<i8").tobytes())
        return total.hexdigest()

    @property
    def test_sha256(self) -> str:
        """SHA-256 of the test rows, or of what they stand for where that was drawn: the same for every seed."""
        rows = self.test if self.drawn is None else self.drawn[..., self.test]
        return hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()


def stratified(labels: NDArray[Any], fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two parts of the rows 0 .. n-1, the second with `fraction` of every class (rounded), both sorted.

    Args:
        labels: (n,) one label or cell per row.
        fraction: of each class, in [0, 1].
        rng: which rows they are.
    """
    kinds, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    # Sorted once, not looked for class by class: there may be many thousands of them.
    members = np.split(np.argsort(kinds, kind="stable"), np.cumsum(counts)[:-1])
    in_second = np.zeros(len(labels), dtype=bool)
    for rows in map(rng.permutation, members):
        in_second[rows[: round(fraction * len(rows))]] = True
    return np.flatnonzero(~in_second).astype(np.int64), np.flatnonzero(in_second).astype(np.int64)


def held_out(
    labels: NDArray[Any], fraction: float, rng: np.random.Generator, groups: NDArray[Any] | None = None
) -> tuple[Rows, Rows]:
    """As `stratified`, but no class loses its last row, some row is held out where one can be, and groups stay whole.

    With groups, each in an order drawn is held out if that brings the counts of its classes nearer to the fraction.

    Args:
        labels: (n,) one class per row.
        fraction: of the rows, in (0, 1).
        rng: which rows they are.
        groups: (n,) the same where rows belong together; None: every row is for itself.
    """
    kinds = np.unique(labels, return_inverse=True)[1]
    if groups is None:
        first, second = stratified(kinds, fraction, rng)
        if len(second) and len(np.unique(kinds[first])) == kinds.max() + 1:
            return first, second
        members = np.split(np.arange(len(kinds)), len(kinds))
    else:
        order = np.argsort(numbers := np.unique(groups, return_inverse=True)[1], kind="stable")
        members = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    held = np.zeros(len(kinds), dtype=bool)
    for rows in _nearest(kinds, members, fraction, rng):
        held[rows] = True
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def _nearest(kinds: Rows, members: list[Rows], fraction: float, rng: np.random.Generator) -> list[Rows]:
    """The groups that are held out: each brings the counts nearer to what they should be; if none does, the best."""
    left = np.bincount(kinds)
    wanted = fraction * left
    found: list[Rows] = []
    best: tuple[float, list[Rows]] = -np.inf, []
    for number in rng.permutation(len(members)):
        own, counts = np.unique(kinds[members[number]], return_counts=True)
        if (left[own] <= counts).any():
            continue  # A class would have no row left.
        # By so much the squared distances fall of each class's count, and of all together.
        nearer = float((counts * (2 * wanted[own] - counts)).sum() + counts.sum() * (2 * wanted.sum() - counts.sum()))
        if nearer > 0:
            left[own] -= counts
            wanted[own] -= counts
            found.append(members[number])
        elif nearer > best[0]:
            best = nearer, [members[number]]
    return found or best[1]


def halves(labels: NDArray[Any], rng: np.random.Generator, groups: NDArray[Any] | None = None) -> tuple[Rows, Rows]:
    """Two halves of the rows 0 .. n-1, both sorted: every class cut in two, groups kept whole.

    Without groups, the halves differ by one row at most, in all and in every class. With them, the largest are given
    away first, each to the half that has less of its classes.

    Args:
        labels: (n,) one class per row; all alike where there are none.
        rng: which rows they are.
        groups: (n,) the same number where rows belong together; None: every row is for itself.
    """
    kinds = np.unique(labels, return_inverse=True)[1]
    if groups is None:
        order = rng.permutation(len(kinds))
        in_second = np.zeros(len(kinds), dtype=bool)
        in_second[order[np.argsort(kinds[order], kind="stable")][1::2]] = True  # Class by class, dealt in turn.
    else:
        in_second = _dealt(kinds, np.unique(groups, return_inverse=True)[1], rng)
    if rng.integers(2):  # Else the odd row, or the largest group, would be in the first half whatever the seed.
        in_second = ~in_second
    return np.flatnonzero(~in_second).astype(np.int64), np.flatnonzero(in_second).astype(np.int64)


def _dealt(labels: Rows, groups: Rows, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,): whether a row's group is in the second half; both are numbered from 0."""
    sizes = np.bincount(groups)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    in_second = np.zeros(len(labels), dtype=bool)
    ahead = np.zeros(len(np.unique(labels)), dtype=np.int64)  # By class: how many rows more the first half has.
    for rows in (members[group] for group in order):
        own = labels[rows]
        in_second[rows] = goes_second = (ahead[own].sum(), ahead.sum()) > (0, 0)
        np.add.at(ahead, own, -1 if goes_second else 1)
    return in_second
