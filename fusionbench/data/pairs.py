"""Pairs of samples from two datasets, drawn so that the label depends on both in a way that is known exactly.

    s, v        what either sample is by itself, 0 or 1
    y = s = v           redundant: only such pairs are drawn; either of the two tells it
      = s, or v         unique to the first, or to the second; the other one is useless
      = s XOR v         synergy: each alone is useless, and so is any sum of one function of each

Every cell (s, v) that a relation has is drawn equally often, to the pair: with random cells one side alone would tell
something of an XOR. Each sample is used at most once, so the scarcest kind bounds how many pairs there are.

In a mixture the second sample's kind names the relation of the pair too, and each relation has as many pairs. The best
accuracy is then 3/4 from one side, 15/16 from any sum of one function of each side (which gets three of the four cells
of XOR at most) and 1 from both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
LABELS = {
    "redundant": {(0, 0): 0, (1, 1): 1},
    "unique_first": {(0, 0): 0, (0, 1): 0, (1, 0): 1, (1, 1): 1},
    "unique_second": {(0, 0): 0, (0, 1): 1, (1, 0): 0, (1, 1): 1},
    "synergy": {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0},
}
"""By relation, the label of each cell (s, v) that is drawn."""


@dataclass(frozen=True)
class Cell:
    """Pairs of one kind."""

    first: int
    """s."""
    second: int
    """The second sample's kind: v, or in a mixture 2 * relation + v."""
    label: int
    share: int
    """How many of these to each one of the scarcest cell."""


@dataclass(frozen=True)
class Pairs:
    """n pairs; rows are those of the two datasets."""

    first: Ints
    """(n,)."""
    second: Ints
    """(n,)."""
    targets: Ints
    """(n,)."""


def cells_of(relations: Sequence[str]) -> list[Cell]:
    """The cells of one relation, or of a mixture of several.

    Every relation gets four shares: two of each cell where it has only two cells.
    """
    return [
        Cell(s, 2 * number + v, label, share=4 // len(LABELS[relation]))
        for number, relation in enumerate(relations)
        for (s, v), label in LABELS[relation].items()
    ]


def paired(
    first: Mapping[int, Ints], second: Mapping[int, Ints], cells: Sequence[Cell], rng: np.random.Generator
) -> Pairs:
    """As many pairs as there can be with every cell exactly its share.

    Args:
        first: by s, the rows to draw from.
        second: by kind, the rows to draw from.
        cells: which pairs there are.
        rng: which rows are paired; rows of one kind never come twice.
    """
    pools = {("first", s): rng.permutation(rows) for s, rows in sorted(first.items())}
    pools |= {("second", kind): rng.permutation(rows) for kind, rows in sorted(second.items())}
    needed: Counter[Any] = Counter()
    for cell in cells:
        needed["first", cell.first] += cell.share
        needed["second", cell.second] += cell.share
    unit = min(len(pools[name]) // shares for name, shares in needed.items())
    taken: Counter[Any] = Counter()

    def take(name: tuple[str, int], count: int) -> Ints:
        start = taken[name]
        taken[name] += count
        return pools[name][start : start + count]

    parts = [
        (take(("first", c.first), c.share * unit), take(("second", c.second), c.share * unit), c.label) for c in cells
    ]
    return Pairs(
        np.concatenate([rows for rows, _, _ in parts]),
        np.concatenate([rows for _, rows, _ in parts]),
        np.concatenate([np.full(len(rows), label, dtype=np.int64) for rows, _, label in parts]),
    )


def paired_by_class(first: Ints, second: Ints, of_first: Ints, of_second: Ints, rng: np.random.Generator) -> Pairs:
    """Every first sample with a second one of its class, each of which comes as often as any other, give or take one.

    Args:
        first: rows of the one dataset, each used once, in this order.
        second: rows of the other; of every class that `first` has there must be one.
        of_first: the class of every row of the one dataset.
        of_second: the class of every row of the other.
        rng: which of them.
    """
    chosen = np.zeros(len(first), dtype=np.int64)
    for label in np.unique(of_first[first]):
        places = np.flatnonzero(of_first[first] == label)
        pool = second[of_second[second] == label]
        turns = [rng.permutation(pool) for _ in range(-(-len(places) // len(pool)))]
        chosen[places] = np.concatenate(turns)[: len(places)]
    return Pairs(np.asarray(first, dtype=np.int64), chosen, of_first[first].astype(np.int64))
