"""Rows and cells of equal contents, above all in two parts of a table: by 64 bits of each, kept for a million rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number, so that equal cells in two columns do not cancel out."""


@dataclass(frozen=True)
class Equal:
    """Equal contents in two parts."""

    parts: tuple[int, int]
    """Numbers of the parts, the lower first."""
    rows: int
    """Of the second part, whose contents the first part has too."""
    example: tuple[int, int]
    """A row of the first and one of the second part."""


def hashes_of(cells: Sequence[Any]) -> Hashes:
    """Of each cell, within this process, (k,)."""
    try:
        found = np.fromiter(map(hash, cells), dtype=np.int64, count=len(cells))
    except TypeError:  # Lists.
        found = np.fromiter((hash(repr(cell)) for cell in cells), dtype=np.int64, count=len(cells))
    return found.view(np.uint64)


def mixed(columns: Sequence[Hashes], rows: int) -> Hashes:
    """Of whole rows, from those of their cells, (k,)."""
    total = np.zeros(rows, dtype=np.uint64)
    for one in columns:
        total = (total ^ (total >> np.uint64(29))) * MIX + one
    return total


def repeated(hashes: Hashes) -> tuple[int, tuple[int, int] | None]:
    """How many rows equal one before them; and a first pair, the later row second."""
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0) if len(hashes) else np.zeros(0, dtype=np.int64)
    if not len(same):
        return 0, None
    first = same[np.argmin(order[same + 1])]
    return len(same), (int(order[first]), int(order[first + 1]))


def between_parts(hashes: Hashes, parts: NDArray[np.int8], there: NDArray[np.bool_] | None = None) -> list[Equal]:
    """By pairs of parts what both have.

    Args:
        hashes: (n,).
        parts: (n,), the number of each row's part; below 0 it has none.
        there: bool (n,), rows in which something stands; None: all.
    """
    rows = np.arange(len(hashes)) if there is None else np.flatnonzero(there)
    found = []
    numbers = np.unique(parts[parts >= 0])
    for place, low in enumerate(numbers):
        for high in numbers[place + 1 :]:
            first, second = (rows[parts[rows] == part] for part in (low, high))
            shared = np.isin(hashes[second], hashes[first])
            if shared.any():
                row = int(second[np.argmax(shared)])
                other = int(first[np.argmax(hashes[first] == hashes[row])])
                found.append(Equal((int(low), int(high)), int(shared.sum()), (other, row)))
    return found
