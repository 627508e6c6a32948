"""What data that are made up share: rows in cells of known structure, each cell equally often in every part.

Rows for training and validation come first, the pool; those of the test follow and depend on no seed of a run.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fusionbench.core.errors import UserError
from fusionbench.data.splits import Split, stratified
from fusionbench.data.store import Array


def refuse_sizes(dataset: str, sizes: Mapping[str, int], cells: int, what: str) -> None:
    """Raises UserError unless every part is a positive multiple of the number of cells; `what` are they?"""
    for name, size in sizes.items():
        if size < cells or size % cells:
            near = max(cells, round(size / cells) * cells)
            raise UserError(
                f"{dataset}: {name} must be a multiple of {cells}, so that {what} are exactly balanced; got {size}, "
                f"use {near}"
            )


def refuse_noise(dataset: str, noise: float) -> None:
    """Raises UserError if a standard deviation is negative or not finite."""
    if not 0 <= noise < float("inf"):
        raise UserError(f"{dataset}: noise must be a finite number from 0 on, got {noise}")


def pool_of(sizes: Mapping[str, int]) -> int:
    """Rows before those of the test."""
    return sizes["train"] + sizes["validation"]


def cells_of(sizes: Mapping[str, int], cells: int) -> Array:
    """The cell of every row, int64 (n,): all in turn, the pool and the test part each from the first on."""
    return np.concatenate([np.arange(pool_of(sizes)) % cells, np.arange(sizes["test"]) % cells])


def add_noise(values: Array, pool: int, scale: float, seed: int, first: int, modality: int) -> None:
    """Add normal noise to rows (n, F), in place.

    The pool and the test part have a generator each, of (seed, first, modality) and (seed, first + 1, modality), so
    that the size of one does not move the rows of the other.
    """
    for part, rows in enumerate((slice(None, pool), slice(pool, None))):
        rng = np.random.default_rng([seed, first + part, modality])
        values[rows] += scale * rng.standard_normal(values[rows].shape)


def split_by_cells(cells: Array, sizes: Mapping[str, int], seed: int) -> Split:
    """Test: the last rows; validation by seed; every cell, (n,), equally often in each."""
    pool = pool_of(sizes)
    train, validation = stratified(cells[:pool], sizes["validation"] / pool, np.random.default_rng(seed))
    return Split(train, validation, np.arange(pool, len(cells)))


def orthogonal(count: int, width: int, rng: np.random.Generator) -> Array:
    """`count` random orthogonal vectors of length sqrt(width), (count, width)."""
    q, r = np.linalg.qr(rng.standard_normal((width, count)))  # (F, count) with orthonormal columns
    # The sign of each column is LAPACK's choice; this makes it the same everywhere.
    return np.asarray((q * np.sign(np.diag(r))).T * np.sqrt(width))
