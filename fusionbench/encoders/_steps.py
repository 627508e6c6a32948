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
