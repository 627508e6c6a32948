"""Draws for each row of a dataset that depend on nothing else, in whatever company and order the rows come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import sha256_of


def row_numbers(facts: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) in [0, 1), evenly: which rows lack a modality, say, and at which rates.

    Args:
        facts: JSON of what else decides it: data, modality, purpose.
        rows: (n,) of the dataset.
    """
    raw = (rng.bit_generator.random_raw() for rng in row_generators(facts, rows.tolist()))
    return np.array([draw / 2**64 for draw in raw], dtype=np.float64)


def row_generators(facts: Any, rows: Iterable[int]) -> Iterator[np.random.Generator]:
    """A generator for each row, to be used before the next is asked for.

    Args:
        facts: JSON of what else decides its draws.
        rows: of the dataset.
    """
    key = int(sha256_of(facts), 16) % 2**64
    bits = np.random.Philox(key=np.array([key, 0], dtype=np.uint64))
    # One, set back to its start with each row's key: making one takes ten times as long.
    rng, start = np.random.Generator(bits), bits.state
    for row in rows:
        start["state"]["key"][1] = row
        bits.state = start
        yield rng
