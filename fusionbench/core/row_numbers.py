"""A number for each row of a dataset that depends on nothing else: which rows lack a modality, and at which rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import sha256_of


def row_numbers(facts: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) in [0, 1), evenly: of each row, in whatever company.

    Args:
        facts: JSON of what else decides it: data, modality, purpose.
        rows: (n,) of the dataset.
    """
    key = int(sha256_of(facts), 16) % 2**64
    draws = (np.random.Philox(key=np.array([key, row], dtype=np.uint64)).random_raw() for row in rows.tolist())
    return np.array([draw / 2**64 for draw in draws], dtype=np.float64)
