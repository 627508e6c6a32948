"""What the bilinear strategies share: affine maps side by side, their product, and the power normalisation after it."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from fusionbench.core.errors import UserError
from fusionbench.fusion.blocks import at_least

USUAL, MOST = 2**12, 2**20
"""Entries of an outer product: at most this many by default, and at most this many at all."""
SMOOTH = 1e-6
"""Makes the slope of a signed root at zero finite: 1/sqrt(SMOOTH) = 1000. Roots move by less than .0004."""


class Maps(nn.Module):
    """N affine maps side by side, one a modality or a block: y_n = x_n A_n + b_n; N*(inputs+1)*outputs parameters.

    One parameter for all, not a list of tensors: a plain list is neither trained nor counted. Entries of A_n start at
    random with variance scale^2/inputs, so that y_n is as large as x_n; those of b_n start as the constant.
    """

    def __init__(self, count: int, inputs: int, outputs: int, *, scale: float = 1.0, constant: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, inputs, outputs) * (scale / inputs**0.5))
        self.bias = nn.Parameter(torch.full((count, 1, outputs), constant))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs)."""
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


def product_of(factors: Tensor) -> Tensor:
    """The product over modalities: (B, M, *) -> (B, *)."""
    return reduce(torch.mul, factors.unbind(1))


def product_of_present(factors: Tensor, present: Tensor) -> Tensor:
    """The product over the modalities that are there: (B, M, *), bool (B, M) -> (B, *); an absent factor is 1."""
    there = present.view(*present.shape, *[1] * (factors.dim() - 2))
    return product_of(torch.where(there, factors, torch.ones_like(factors)))


def power_normalised(z: Tensor, smooth: float = SMOOTH) -> Tensor:
    """Signed square root, then one size along the last axis: s = z / sqrt(|z| + e), s / sqrt(mean(s*s) + e).

    In float32. A unit's size is 1, not the whole vector's as in the papers: of H units their entries times sqrt(H), so
    that what a head reads is as large whatever its width. e is `smooth`: a true root has an infinite slope at zero,
    and a zero vector has no direction.
    """
    z = z.float()
    root = z * (z.abs() + smooth).rsqrt()
    return root * (root.square().mean(-1, keepdim=True) + smooth).rsqrt()


def outer_product(factors: Tensor) -> Tensor:
    """All products of one number of each modality: (B, M, X) -> (B, X^M), the first modality's index slowest."""
    first, *others = factors.unbind(1)
    for other in others:
        first = (first[:, :, None] * other[:, None]).flatten(1)
    return first


def product_width(strategy: str, hidden: int, count: int, ones: int = 0) -> int:
    """The width of each modality in an outer product: `hidden`, or if that is 0 the largest with at most USUAL entries.

    Args:
        strategy: whose option `hidden` is.
        hidden: the option.
        count: modalities.
        ones: 1 if the product has a constant beside each modality's numbers, 0 if not.

    Raises:
        UserError: `hidden` is negative, or the product has more than MOST entries.
    """
    at_least(strategy, "hidden", hidden, 0)
    hidden = hidden or max(1, _widest(count, USUAL) - ones)
    entries = (hidden + ones) ** count
    if entries > MOST:
        raise UserError(
            f"strategy '{strategy}': hidden is {hidden}; the outer product of {count} modalities has {entries} entries "
            f"then, more than {MOST}; take 1 to {max(1, _widest(count, MOST) - ones)}"
        )
    return hidden


def _widest(count: int, entries: int) -> int:
    """The largest width, at least 1, whose product over so many modalities has at most so many entries."""
    width = 1
    while (width + 1) ** count <= entries:
        width += 1
    return width
