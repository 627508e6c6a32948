"""Layers that several strategies share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import Setting


def mlp_head(inputs: int, setting: Setting) -> nn.Sequential:
    """Linear(inputs, W), ReLU, dropout, Linear(W, C): (inputs+1)*W + (W+1)*C parameters."""
    return nn.Sequential(
        nn.Linear(inputs, setting.head_width),
        nn.ReLU(),
        nn.Dropout(setting.dropout),
        nn.Linear(setting.head_width, setting.task.classes),
    )


def stacked(encoded: dict[str, Encoded]) -> tuple[Tensor, Tensor]:
    """All modalities side by side: pooled (B, M, D), absent ones zero, and present, bool (B, M)."""
    pooled = torch.stack([one.pooled for one in encoded.values()], 1)
    present = torch.stack([one.present for one in encoded.values()], 1)
    return pooled, present


def present_mean(values: Tensor, present: Tensor) -> Tensor:
    """The mean over the modalities that are there: values (B, M, X), present bool (B, M) -> (B, X)."""
    weight = present[..., None].to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)
