"""What encoders of steps share: which steps are real, and what is left of a sample when only those count."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec


def real_steps(x: Tensor, mask: Tensor | None) -> Tensor:
    """Which steps are real, bool (B, T): those of the mask (all, if it is None) but never the token id 0.

    Args:
        x: ids int64 (B, T), or steps (B, T, F).
        mask: bool (B, T) or None.
    """
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return mask & (x != 0) if x.dim() == 2 else mask


def cleared(x: Tensor, mask: Tensor) -> Tensor:
    """Zeros in the padding, whatever stood there (NaN times 0 would be NaN): (B, T) or (B, T, F), mask (B, T)."""
    return torch.where(mask.view(*mask.shape, *[1] * (x.dim() - 2)), x, torch.zeros_like(x))


def mean_over(steps: Tensor, mask: Tensor) -> Tensor:
    """The mean over real steps, zeros where there are none: (B, T, X), bool (B, T) -> (B, X)."""
    weight = mask[..., None].to(steps.dtype)
    return (steps * weight).sum(1) / weight.sum(1).clamp(min=1)


def max_over(steps: Tensor, mask: Tensor) -> Tensor:
    """The greatest value over real steps, zeros where there are none: (B, T, X), bool (B, T) -> (B, X)."""
    greatest = steps.masked_fill(~mask[..., None], -torch.inf).amax(1)
    return greatest.masked_fill(~mask.any(1, keepdim=True), 0.0)


def averaged(steps: Tensor, mask: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Neighbouring real steps of each sample averaged, until no more than `most` are left; they come first.

    A sample's n real steps, wherever its padding stands, are cut into `most` runs of neighbours, whose lengths differ
    by one at most: step r = 0 .. n-1 is in run floor(r * most / n). With no more than `most` they stay as they are.

    Args:
        steps: (B, T, X).
        mask: bool (B, T), which are real.
        most: S, how many are left at most; 0: all, and nothing is changed.

    Returns:
        (B, S, X), zeros where nothing is left, and which are left, bool (B, S); S is T where T is less.
    """
    if most == 0:
        return steps, mask
    place = torch.arange(min(most, steps.shape[1]), device=steps.device)  # (S,)
    count = mask.sum(1, keepdim=True)  # (B, 1)
    order = mask.cumsum(1) - 1  # (B, T): which of its sample's real steps each is
    run = order * count.clamp(max=len(place)) // count.clamp(min=1)
    inside = (run[:, None] == place[:, None]) & mask[:, None]  # (B, S, T)
    # A product with zeros and ones, not an addition by index: that has no fixed order on GPUs.
    total = inside.to(steps.dtype) @ cleared(steps, mask)  # (B, S, T) @ (B, T, X)
    return total / inside.sum(2, keepdim=True).clamp(min=1), place < count


def embedding(spec: ModalitySpec, width: int) -> nn.Embedding:
    """A vector for each id: vocabulary*width parameters; that of id 0, the padding, stays zero.

    Raises:
        UserError: the modality does not say how many ids there are.
    """
    if spec.vocabulary is None:
        raise UserError(f"modality '{spec.name}' is of kind {spec.kind}; its ModalitySpec must state a vocabulary")
    return nn.Embedding(spec.vocabulary, width, padding_idx=0)


def at_least_one(encoder: str, option: str, value: int) -> None:
    """Refuse a size below 1 with a UserError."""
    if value < 1:
        raise UserError(f"encoder '{encoder}': {option} is {value}; it must be an integer of at least 1")


def at_least_none(encoder: str, steps: int) -> int:
    """The option `steps`; one below 0 is refused with a UserError."""
    if steps < 0:
        raise UserError(f"encoder '{encoder}': steps is {steps}; it must be how many are left, or 0 for all")
    return steps
