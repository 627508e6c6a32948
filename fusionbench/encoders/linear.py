"""Linear projection: vectors or steps that are encoded already, brought to the common width.

    y = W x + b     (B, F) -> (B, D), or (B, T, F) -> (B, T, D) and the mean over real steps

With steps = S > 0 the tokens of a sequence are the means of S runs of neighbouring steps, (B, S, D).

It makes a strategy a layer over the user's own features (`fusionbench.fusion.layer`).

Source: none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import at_least_none, averaged
from fusionbench.encoders.base import Encoder


class Linear(Encoder):
    """One affine map; no nonlinearity."""

    kinds = ("vector", "sequence")
    later = {"steps": 0}

    def __init__(self, spec: ModalitySpec, dropout: float = 0.0, *, width: int = 128, steps: int = 0) -> None:
        super().__init__(spec, width)
        self.steps = at_least_none("linear", steps)
        self.project = nn.Linear(spec.shape[-1], width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """(B, F) or (B, T, F) -> pooled (B, D), tokens (B, T or S, D); T = 1 for a vector."""
        steps = x if x.dim() == 3 else x[:, None]
        if mask is None:
            mask = torch.ones(steps.shape[:2], dtype=torch.bool, device=x.device)
        real = torch.where(mask[..., None], steps, torch.zeros_like(steps))  # NaN in the padding times 0 is NaN.
        tokens = self.project(self.dropout(real)) * mask[..., None]
        pooled = tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return Encoded(pooled, *averaged(tokens, mask, self.steps), present)
