"""A vector of numbers and categories, cells of which may be missing.

    <name>.numbers.npy       float64 (n, K); 0 where missing
    <name>.missing.npy       bool (n, K); not there where no number is missing
    <name>.categories.npy    int32 (n, J): 0 where missing, else 1 + its place among the column's names
    <name>.names.<j>.npy     (V_j,): the categories of column j

    vector = [ clip((x - mean) / std) ; 1 where x is missing ; a one for the category, of each category column ]

Mean and deviation are of the training rows, and missing numbers become 0, the mean. Numbers that are missing somewhere
have a flag. A category column is 2 + min(V, MOST) zeros and a one: for missing, for all that the training rows lack or
that are not among the MOST commonest there, and for each of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.task import ModalitySpec
from fusionbench.data.splits import Rows
from fusionbench.data.standard import Standardiser, fitted
from fusionbench.data.store import Array

MOST = 1000
"""Categories of a column that are told apart."""
MISSING, OTHER, FIRST = 0, 1, 2
"""Places of a category column: of no category, of one that is not told apart, of the first of the others."""
AT_ONCE = 65_536
"""Rows that are looked at together when something is fitted."""


def is_table(modality: str, arrays: Mapping[str, Array]) -> bool:
    """Whether a modality is stored as numbers and categories."""
    return f"{modality}.numbers" in arrays


class Table:
    """One modality; `fit`, then call it with rows."""

    def __init__(self, name: str, arrays: Mapping[str, Array]) -> None:
        self.name = name
        self.numbers = arrays[f"{name}.numbers"]
        self.missing = arrays.get(f"{name}.missing")
        self.categories = arrays.get(f"{name}.categories")
        count = 0 if self.categories is None else self.categories.shape[1]
        self.names = [arrays[f"{name}.names.{column}"] for column in range(count)]
        self.flagged = np.flatnonzero(() if self.missing is None else self.missing.any(0))
        """Columns of numbers that are missing somewhere."""
        self.standard: Standardiser | None = None
        self.places: list[NDArray[np.int64]] = []
        """Of each category column, the place of every stored id, (1 + V,); both after `fit`."""

    @property
    def spec(self) -> ModalitySpec:
        """A vector; its size does not depend on a split."""
        sizes = tuple(FIRST + min(len(names), MOST) for names in self.names)
        width = self.numbers.shape[1] + len(self.flagged) + sum(sizes)
        return ModalitySpec(self.name, "vector", (width,), categories=sizes)

    def column_names(self, numbers: Sequence[str], categories: Sequence[str]) -> list[str]:
        """What each number of a vector is, after `fit`.

        Args:
            numbers: the names of columns of numbers.
            categories: and of categories.
        """
        found = [*numbers, *(f"{numbers[int(place)]} is missing" for place in self.flagged)]
        for column, size, places, known in zip(categories, self.spec.categories, self.places, self.names, strict=True):
            own = [f"{column} is missing", f"{column}: another", *[""] * (size - FIRST)]
            for number, place in enumerate(places[1:]):
                own[place] = f"{column}={known[number]}" if place >= FIRST else own[place]
            found += own
        return found

    def fit(self, train: Rows) -> None:
        """Means, deviations and categories of the training rows that have the modality."""
        self.standard = fitted(lambda: self._training_numbers(train))
        self.places = [self._places(column, train) for column in range(len(self.names))]

    def _training_numbers(self, train: Rows) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(train), AT_ONCE):
            yield self._numbers(train[start : start + AT_ONCE])

    def _numbers(self, rows: Rows) -> NDArray[np.float64]:
        """With NaN where they are missing."""
        found = np.array(self.numbers[rows], dtype=np.float64)
        if self.missing is not None:
            found[self.missing[rows]] = np.nan
        return found

    def _places(self, column: int, train: Rows) -> NDArray[np.int64]:
        assert self.categories is not None
        counts = np.bincount(self.categories[train, column], minlength=1 + len(self.names[column]))
        places = np.full(len(counts), OTHER, dtype=np.int64)
        places[0] = MISSING
        commonest = 1 + np.argsort(-counts[1:], kind="stable")[:MOST]
        known = np.sort(commonest[counts[commonest] > 0])
        places[known] = FIRST + np.arange(len(known))
        return places

    def __call__(self, rows: Rows) -> NDArray[np.float32]:
        """Vectors of those rows, (B, F)."""
        assert self.standard is not None
        out = np.zeros((len(rows), *self.spec.shape), dtype=np.float32)
        numbers = self._numbers(rows)
        place = numbers.shape[1]
        out[:, :place] = np.nan_to_num(self.standard(numbers), nan=0.0)
        out[:, place : place + len(self.flagged)] = np.isnan(numbers[:, self.flagged])
        place += len(self.flagged)
        for column, size in enumerate(self.spec.categories):
            assert self.categories is not None
            ids = self.places[column][self.categories[rows, column]]
            out[np.arange(len(rows)), place + ids] = 1
            place += size
        return out
