"""What one column of a table holds, gathered chunk by chunk, and what it may be taken for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

from fusionbench.data.manifests.cells import numbers_in, present_in, word, words_in

Taken = Literal[
    "image", "audio", "npy", "number", "category", "tokens", "vector", "sequence", "labels", "id", "nothing"
]
"""Of a column: `npy` by paths of arrays, `labels` lists of words, `id` different in every row, `nothing` empty."""
ENDS: dict[str, Taken] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"), "image"),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3"), "audio"),
    ".npy": "npy",
}
MOST_COUNTED = 100_000
"""Different values that are counted, and of numbers:"""
MOST_NUMBERS = 1000
TOO_MANY = 10_000
"""From so many on they are counted no further where every second one is new."""
LOOKED_AT = 4096
"""Cells, of the first ones, whose form is looked at."""
FEW = 20
"""So many different words are categories, however few rows there are; of more, each has to come ten times."""
SHORT = 40
"""Characters of a category, on average, at most."""


@dataclass
class Profile:
    """Of one column."""

    name: str
    rows: int = 0
    missing: int = 0
    numbers: bool = True
    """Whether all that stands there are numbers."""
    whole: bool = True
    """And these without a fraction."""
    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    lists: int = 0
    """Cells that are lists."""
    longest: int = 0
    letters: int = 0
    """Characters of the longest cell, and of all."""
    counts: Counter[str] | None = field(default_factory=Counter)
    """How often each value comes; None: there are too many."""
    first: list[Any] = field(default_factory=list)
    """Some cells of the first rows in which something stands."""

    def add(self, cells: Sequence[Any]) -> None:
        """The cells of some more rows."""
        there = present_in(cells)
        self.rows += len(cells)
        some = [cell for cell, is_there in zip(cells, there.tolist(), strict=True) if is_there]
        if self.numbers:
            some = self._add_numbers(some)
        self.missing = self.missing + len(cells) - len(some)
        self.first += some[: LOOKED_AT - len(self.first)]
        if any(isinstance(cell, list | dict) for cell in some[:1]) or self.lists:
            self.lists += sum(isinstance(cell, list | dict) for cell in some)
            return
        self._count(some)

    def _add_numbers(self, some: list[Any]) -> list[Any]:
        """Without words that stand for a missing number, where all others are numbers."""
        values, wrong = numbers_in(some)
        self.numbers = not wrong and not any(isinstance(cell, bool) for cell in some[:1])
        if not self.numbers:
            return some
        there = ~np.isnan(values)
        values = values[there]
        if len(values):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.total += float(values.sum())
            self.whole = self.whole and bool((values == np.floor(values)).all())
        return some if there.all() else [cell for cell, is_there in zip(some, there.tolist(), strict=True) if is_there]

    def _count(self, some: list[Any]) -> None:
        if not self.numbers:
            try:
                sizes = list(map(len, some))
            except TypeError:
                sizes = list(map(len, map(word, some)))
            self.letters, self.longest = self.letters + sum(sizes), max(self.longest, *sizes, 0)
        if self.counts is None:
            return
        self.counts.update(words_in(some))
        most = MOST_NUMBERS if self.numbers else MOST_COUNTED
        if len(self.counts) > most or TOO_MANY < len(self.counts) * 2 > self.present:
            self.counts = None

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def present(self) -> int:
        """Rows in which something stands."""
        return self.rows - self.missing

    @property
    def different(self) -> int | None:
        """How many different values there are; None: more than are counted."""
        return None if self.counts is None else len(self.counts)

    @property
    def taken_for(self) -> Taken:
        """What the column looks like."""
        if not self.present:
            return "nothing"
        if self.lists:
            return _of_lists(self.first)
        if self.numbers:
            return "id" if self._is_id and self.whole else "number"
        ends = Counter(ENDS.get(PurePath(word(cell)).suffix.lower()) for cell in self.first)
        end, count = ends.most_common(1)[0]
        if end is not None and count >= 0.9 * len(self.first):
            return end
        if self.different is not None and self.letters <= SHORT * self.present and self._repeats:
            return "category"
        return "id" if self._is_id and not self._has_words else "tokens"

    @property
    def _repeats(self) -> bool:
        assert self.different is not None
        return (self.different <= FEW and self.different < self.present) or self.different * 10 <= self.present

    @property
    def _is_id(self) -> bool:
        """Different in every row, or counted upwards, and called as such columns are."""
        named = self.name.lower() in ("", "id", "index", "row", "unnamed: 0", "key", "uuid", "guid")
        named = named or self.name.lower().endswith(("_id", " id", ".id"))
        return named and (self.different is None or self.different == self.present)

    @property
    def _has_words(self) -> bool:
        return sum(" " in word(cell) for cell in self.first) * 10 > len(self.first)


def _of_lists(cells: Sequence[Any]) -> Taken:
    lists = [cell for cell in cells if isinstance(cell, list)]
    if any(isinstance(one, list) for cell in lists for one in cell[:1]):
        return "sequence"
    if any(isinstance(one, str) for cell in lists for one in cell[:1]):
        return "labels"
    return "vector" if lists and len({len(cell) for cell in lists}) == 1 else "sequence"
