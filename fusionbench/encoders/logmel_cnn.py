"""Convolutional network over a log-mel spectrogram: what is heard is found wherever it is in time and pitch.

    h_l = pool(ReLU(GN(conv3x3(h_{l-1}))))   (B, C_l, T_l, F_l), from the spectrogram (B, 1, T, F)
    s_t = max_band h(t, band)                (B, T_L, C_L)
    tokens = W LN(s_t) + b                   (B, T_L, D), moments in their order
    pooled = W LN(max_t s_t) + b             (B, D)

pool halves time and bands together while both are at least 4 long; LN is LayerNorm over channels, without weights, for
the reason that small_cnn gives. Group norm, not batch norm: a sample's encoding never depends on its batch mates, and
any number of devices gives the same result. Maps and kernels are kept channels last in memory.

Parameters: 9*(C_1 + sum_{l>1} C_{l-1}*C_l) + 2*sum_l C_l + (C_L+1)*D
Source: Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification", arXiv:1609.09430, whose networks
read log-mel spectrograms as pictures, with the norm of Wu & He 2018, "Group Normalization", arXiv:1803.08494. It is
much smaller than any of theirs.
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


class LogMelCNN(Encoder):
    """One 3x3 convolution per entry of `channels`."""

    kinds, paper = ("audio",), "hershey2017cnn, wu2018group"

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        channels: tuple[int, ...] = (16, 32, 64),
        groups: int = 8,
    ) -> None:
        super().__init__(spec, width)
        self.convolutions, self.norms = kernels(1, channels), group_norms(groups, channels)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels[-1], width)
        self.stage_widths = channels
        self.to(memory_format=torch.channels_last)

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """(B, T, F) -> (B, 1, T, F), a picture of one channel."""
        return Hidden(x[:, None].contiguous(memory_format=torch.channels_last), None, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One convolution and what follows it: (B, C_l, T_l, F_l)."""
        return replace(hidden, map=convolved(hidden.map, self.convolutions[number], self.norms[number]))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, C, T, F) -> pooled (B, D), tokens (B, T, D)."""
        moments = hidden.map.amax(3).transpose(1, 2)  # (B, C, T, F) -> (B, T, C)
        tokens, pooled = self._projected(moments), self._projected(moments.amax(1))
        mask = hidden.present[:, None].expand(tokens.shape[:2])
        return Encoded(pooled, tokens, mask, hidden.present)

    def _projected(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., D)."""
        return self.project(self.dropout(F.layer_norm(x, x.shape[-1:])))
