"""Rows of different lengths, stored one after the other, as one padded batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def padded(values: NDArray[Any], first: Ints, counts: Ints) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The rows side by side.

    Args:
        values: (total, ...) of all rows of the dataset.
        first: (B,) where each of the wanted rows begins.
        counts: (B,) how many values it has.

    Returns:
        (B, T, ...) values, zeros behind a row's end, and which are real, bool (B, T); T is the longest, at least 1.
    """
    steps = np.arange(max(1, counts.max(initial=1)))
    real = steps < counts[:, None]  # (B, T)
    out = np.zeros((*real.shape, *values.shape[1:]), dtype=values.dtype)
    out[real] = values[(first[:, None] + steps)[real]]
    return out, real
