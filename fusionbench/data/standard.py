"""Numbers to one scale: mean 0 and variance 1 over the training rows, column by column, and no value far out.

    y = clip((x - mean) / std, -CLIP, CLIP)     std over the training rows; 0 where a column is constant there

A column that never changes in training says nothing, whatever a test row holds in it: it becomes 0. One that hardly
ever changes there has a small spread, and a test row may lie thousands of it away: it is clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIP = 10.0
"""In units of a column's standard deviation; one value in 10^23 of a normal distribution lies further out."""
ROUNDINGS = 10.0
"""A column whose values are apart by so many roundings of the largest is constant."""


@dataclass(frozen=True)
class Standardiser:
    """Fitted on training rows; columns come last."""

    mean: NDArray[np.float64]
    """(F,)."""
    factor: NDArray[np.float64]
    """(F,): 1 / std, 0 of a constant column."""

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """(..., F) -> (..., F)."""
        # Bytes and halves lose no digit in float32, which takes half the time.
        kind: Any = np.float32 if values.dtype.itemsize <= 2 else np.float64
        out = np.subtract(values, self.mean.astype(kind), dtype=kind)
        out *= self.factor.astype(kind)
        return np.clip(out, -CLIP, CLIP, out=out).astype(np.float32, copy=False)


def fitted(parts: Callable[[], Iterable[NDArray[Any]]]) -> Standardiser:
    """The standardiser of values (n, F) that come in several parts, gone through twice; what is NaN is left out.

    >>> import numpy as np
    >>> of = fitted(lambda: [np.array([[1.0, 5.0], [3.0, 5.0]])])
    >>> of(np.array([[2.0, 9.0], [4.0, 5.0], [99.0, 5.0]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [10.0, 0.0]]
    """
    found = [(np.nansum(part.astype(np.float64), 0), *_ends(part), _counts(part)) for part in parts()]
    total, low, high, counted = zip(*found, strict=True)
    count = np.maximum(np.sum(counted, axis=0), 1)  # A column that is NaN in all rows is constant, of mean 0.
    mean = np.sum(total, axis=0) / count
    squares = np.sum([np.nansum((part.astype(np.float64) - mean) ** 2, 0) for part in parts()], axis=0)
    spread = np.sqrt(squares / count)
    varies = ~_is_constant(np.min(low, axis=0), np.max(high, axis=0))
    return Standardiser(mean, np.divide(1.0, spread, out=np.zeros_like(spread), where=varies))


def _ends(part: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lowest and highest number of each column; of none, infinity and its negative."""
    if part.dtype.kind != "f":
        return part.min(0), part.max(0)
    ends = np.fmin.reduce(part, 0, initial=np.inf), np.fmax.reduce(part, 0, initial=-np.inf)
    return ends[0].astype(part.dtype), ends[1].astype(part.dtype)


def _counts(part: NDArray[Any]) -> NDArray[np.int64]:
    return np.count_nonzero(part == part, axis=0)  # NaN alone is not itself.


def _is_constant(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a column's lowest and highest value are the same but for a few roundings."""
    rounding = np.finfo(low.dtype).eps if low.dtype.kind == "f" else 0.0
    ends = low.astype(np.float64), high.astype(np.float64)
    return np.asarray(ends[1] - ends[0] <= ROUNDINGS * rounding * np.maximum(*map(np.abs, ends)))
