"""Counts of logits in bins, one for each float16 number: of any number of logits, what fits into memory.

    bin(x)    that of the float16 number nearest to x, its centre; a higher number is never in a lower bin
    NaN       has a bin of its own, the last, and is above no other

Centres are 1/2048 to 1/1024 of a logit's size apart: 0.004 between 4 and 8. Bins depend on no data, so that counts add
up, and neither batches nor processes change them.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 2**16
ZERO = 2**15
"""The bin of zero; those of negative numbers are below it."""

Ints = NDArray[np.int64]


def no_counts(classes: int) -> Tensor:
    """Zeros, int32 (classes, BINS); pages of them take no memory before something is counted there."""
    if sys.platform == "win32":
        return torch.zeros(classes, BINS, dtype=torch.int32)
    # numpy would ask for huge pages, and torch write the zeros: either takes memory for bins that no logit is in.
    pages = mmap.mmap(-1, 4 * classes * BINS, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=torch.int32).view(classes, BINS)


def bins_of(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The bin of each logit, int32, and its centre, float16.

    Args:
        logits: float32, of any shape.
    """
    centres = (logits + 0.0).half()  # -0 + 0 is 0: they are equal, so they share a bin.
    bits = centres.view(torch.int16).int()
    # The bits of positive numbers rise with the number; those of negative ones, below 0, fall with it.
    bins = torch.where(bits >= 0, ZERO + bits, ~bits)
    return torch.where(centres.isnan(), BINS - 1, bins), centres


def count(counts: NDArray[np.int32], logits: Tensor) -> Ints:
    """Count logits in their bins.

    Args:
        counts: (C', BINS), added to in place.
        logits: float32 (C', N), on the CPU.

    Returns:
        How many logits of each class are the centres of their bins, (C',).
    """
    bins, centres = bins_of(logits)
    for row, found in zip(counts, bins.numpy(), strict=True):
        lowest = found.min(initial=BINS)
        times = np.bincount(found - lowest)
        (used,) = times.nonzero()
        row[lowest + used] += times[used].astype(np.int32)  # No page of the others is touched.
    at_centre: Ints = (centres == logits).sum(1).numpy()
    return at_centre


def above_and_in(counts: NDArray[np.int32], bins: NDArray[Any]) -> tuple[Ints, Ints]:
    """How many logits of one class are in higher bins than each of some bins, and how many in it, (k,) each.

    Args:
        counts: (BINS,) of the class.
        bins: (k,).
    """
    up_to = counts.cumsum(dtype=np.int64)
    return up_to[-2] - up_to[bins], counts[bins].astype(np.int64)
