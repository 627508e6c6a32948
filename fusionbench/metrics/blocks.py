"""Memory for what is kept of every batch, taken in large blocks: apart from what comes and goes with a batch.

Small arrays that stay lie between large ones that are freed, and the next large ones no longer fit there: on a test set
of thousands of batches, what is lost so is more than what is kept. The C library takes pieces from 32 MB on from the
system one by one, and gives them back whole.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**25
"""Bytes. What is not written to of a block takes no memory."""


class Blocks:
    """Keeps copies of tensors.

    >>> blocks = Blocks()
    >>> kept = [blocks.keep(torch.full((2,), float(number))) for number in range(3)]
    >>> [tensor.tolist() for tensor in kept]
    [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    """

    def __init__(self) -> None:
        self._free: dict[torch.dtype, Tensor] = {}

    def keep(self, values: Tensor) -> Tensor:
        """A copy, in a block where it is on the CPU: PyTorch itself keeps small and large apart on a GPU."""
        if not values.is_cpu:
            return values.clone()
        count, free = values.numel(), self._free.get(values.dtype)
        if free is None or len(free) < count:
            # Not of the mode that evaluation runs in: such tensors may not be written to in any other.
            with torch.inference_mode(mode=False):
                free = torch.empty(max(count, BLOCK // values.element_size()), dtype=values.dtype)
        self._free[values.dtype] = free[count:]
        return free[:count].view(values.shape).copy_(values)
