"""Memory for what is kept of every batch, taken in large blocks: apart from what comes and goes with a batch.

Arrays of 40 kB that stay lie between arrays of 8 MB that are freed, and the next ones of 8 MB no longer fit there: on a
test set of thousands of batches, more is lost so than is kept. The C library takes pieces from 32 MB on from the system
one by one, and gives them back whole. What describes a tensor stays in the heap and does the same harm, only later; so
now and then the heap's free memory is given back too.
"""

from __future__ import annotations

import ctypes
import sys

import torch
from torch import Tensor

BLOCK = 2**25
"""Bytes. What is not written to of a block takes no memory."""
OFTEN = 128
"""After so many copies memory is given back: of 64 batches, some 200 MB."""


class Blocks:
    """Keeps copies of tensors.

    >>> blocks = Blocks()
    >>> kept = [blocks.keep(torch.full((2,), float(number))) for number in range(3)]
    >>> [tensor.tolist() for tensor in kept]
    [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    """

    def __init__(self) -> None:
        self._free: dict[torch.dtype, Tensor] = {}
        self._kept = 0

    def keep(self, values: Tensor) -> Tensor:
        """A copy, in a block where it is on the CPU: PyTorch itself keeps small and large apart on a GPU."""
        if not values.is_cpu:
            return values.clone()
        self._kept += 1
        if self._kept % OFTEN == 0:
            give_back()
        count, free = values.numel(), self._free.get(values.dtype)
        if free is None or len(free) < count:
            # Not of the mode that evaluation runs in: such tensors may not be written to in any other.
            with torch.inference_mode(mode=False):
                free = torch.empty(max(count, BLOCK // values.element_size()), dtype=values.dtype)
        self._free[values.dtype] = free[count:]
        return free[:count].view(values.shape).copy_(values)


def give_back() -> None:
    """Give free memory of the heap back to the system, where the C library is one that can: glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
