"""What convolutional encoders share: 3x3 kernels with group norm, and a map that is halved while it is large enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 4
"""A map is halved only while both its sides are at least this long."""


def kernels(inputs: int, channels: Sequence[int]) -> nn.ModuleList:
    """A 3x3 convolution without bias for each number of channels: 9 * C_{l-1} * C_l parameters."""
    return nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise((inputs, *channels)))


def group_norms(groups: int, channels: Sequence[int]) -> nn.ModuleList:
    """The norm behind each: 2 * C_l parameters; as many groups as divide both the channels and `groups`."""
    return nn.ModuleList(nn.GroupNorm(math.gcd(groups, b), b) for b in channels)


def convolved(x: Tensor, kernel: nn.Module, norm: nn.Module) -> Tensor:
    """One convolution and what follows it: (B, C, H, W) -> (B, C', H or H/2, W or W/2)."""
    x = F.relu(norm(kernel(x)))
    return F.max_pool2d(x, 2) if min(x.shape[-2:]) >= SMALLEST else x
