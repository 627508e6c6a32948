"""Small convolutional network: 3x3 convolutions with group norm, halving the picture while it is large enough.

    h_l = pool(ReLU(GN(conv3x3(h_{l-1}))))   (B, C_l, H_l, W_l)
    tokens = W LN(h(position)) + b           (B, T, D), T positions of the last map
    pooled = W LN(max_position h) + b        (B, D)

LN is LayerNorm over channels, without weights. What is left of a ReLU is positive, and its maximum more so: without LN
most of an encoding is the same for all pictures, and a head starts on that constant.

Maps and kernels are kept channels last in memory, which processors and GPUs convolve faster (a rounding apart).

Group norm, not batch norm: no statistics over the batch, so a sample's encoding never depends on its batch mates and
any number of devices gives the same result.

Source: Wu & He 2018, "Group Normalization", arXiv:1803.08494.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._convolutions import convolved, group_norms, kernels
from fusionbench.encoders.base import Encoder, Hidden


class SmallCNN(Encoder):
    """One 3x3 convolution per entry of `channels`."""

    kinds, paper = ("image",), "wu2018group"

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        channels: tuple[int, ...] = (32, 64, 128),
        groups: int = 8,
    ) -> None:
        super().__init__(spec, width)
        self.convolutions, self.norms = kernels(spec.shape[0], channels), group_norms(groups, channels)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels[-1], width)
        self.stage_widths = channels
        self.to(memory_format=torch.channels_last)

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """(B, C, H, W), channels last in memory."""
        return Hidden(x.contiguous(memory_format=torch.channels_last), None, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One convolution and what follows it: (B, C_l, H_l, W_l)."""
        return replace(hidden, map=convolved(hidden.map, self.convolutions[number], self.norms[number]))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, C, H, W) -> pooled (B, D), tokens (B, T, D)."""
        steps = hidden.map.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, T, C)
        tokens, pooled = self._projected(steps), self._projected(steps.amax(1))
        mask = hidden.present[:, None].expand(tokens.shape[:2])
        return Encoded(pooled, tokens, mask, hidden.present)

    def _projected(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., D)."""
        return self.project(self.dropout(F.layer_norm(x, x.shape[-1:])))
