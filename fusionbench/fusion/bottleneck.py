"""Bottleneck fusion: modalities exchange what they know only through a few tokens that they share.

    z_m = x_m                                            steps of modality m, (B, T_m, D)
    b   = learned                                        (B, bottlenecks, D)
    in each layer, for each modality, by a Transformer block of its own:
        [z_m; b_m] = block_m([z_m; b])                   over the real steps of m and the bottlenecks
        b          = mean_m b_m                          over the modalities that are present
    y = MLP(mean_m mean_t LN(z_m))                       over real steps, then modalities present, (B, D) -> (B, C)

In the first layer the bottlenecks only collect, so it takes two for anything to cross. The last layer's bottlenecks are
not computed, since nothing reads them.

Parameters: bottlenecks*D + M*layers*(12*D+11)*D + 2*D + (D+1)*W + (W+1)*C
FLOPs: M*(layers-1)*(24*(T+bottlenecks)*D*D + 4*(T+bottlenecks)*(T+bottlenecks)*D)
    + M*((24*T+4*bottlenecks)*D*D + 4*T*(T+bottlenecks)*D) + 2*(D*W + W*C)
Source: Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion", arXiv:2107.00135. Blocks for each modality,
the mean of the bottlenecks, their number and start, and the mean over steps as in the authors' code and its settings,
google-research/scenic; it can read class tokens instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion._blocks import (
    TransformerBlock,
    at_least,
    heads_divide,
    masked_mean,
    mlp_head,
    present_mean,
    small_normal,
)
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class BottleneckFusion(FusionModule):
    """Multimodal bottleneck Transformer (MBT), mean over steps and modalities, then an MLP."""

    paper, stage, interaction, fidelity = "nagrani2021attention", "token", "full", "adapted"
    departure = (
        "on the encoders' steps in place of patches, so without positions and without layers before the fusion; "
        "2 layers in place of 4 that fuse; modalities count alike however many steps they have; our common MLP head"
    )

    def __init__(self, setting: Setting, *, bottlenecks: int = 4, heads: int = 4, layers: int = 2) -> None:
        at_least("bottleneck", "bottlenecks", bottlenecks, 1)
        at_least("bottleneck", "layers", layers, 2)
        heads_divide("bottleneck", heads, setting.width)
        super().__init__(setting)
        count, width = len(setting.task.names), setting.width
        self.bottlenecks = small_normal(1, bottlenecks, width)
        self.layers = nn.ModuleList(
            nn.ModuleList(TransformerBlock(width, heads, setting.dropout) for _ in range(count)) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = mlp_head(width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> their means (B, M, D) -> (B, D) -> (B, C)."""
        present = torch.stack([one.present for one in encoded.values()], 1)
        streams = zip(self.streams(encoded, present), encoded.values(), strict=True)
        pooled = torch.stack([masked_mean(self.norm(z), one.mask) for z, one in streams], 1)
        return Prediction(self.head(present_mean(pooled, present)))

    def streams(self, encoded: dict[str, Encoded], present: Tensor) -> list[Tensor]:
        """What the steps of each modality have become, (B, T_m, D); present is bool (B, M)."""
        shared = self.bottlenecks.shape[1]
        streams = [one.tokens for one in encoded.values()]
        lengths = [z.shape[1] for z in streams]
        masks = [F.pad(one.mask, (0, shared), value=True) for one in encoded.values()]
        bottlenecks = self.bottlenecks.expand(present.shape[0], -1, -1)
        for layer, blocks in enumerate(self.layers, 1):
            assert isinstance(blocks, nn.ModuleList)
            wanted: Sequence[int | None] = lengths if layer == len(self.layers) else [None] * len(lengths)
            mixed = [
                block(torch.cat([z, bottlenecks], 1), mask, first)
                for block, z, mask, first in zip(blocks, streams, masks, wanted, strict=True)
            ]
            streams = [z[:, :length] for z, length in zip(mixed, lengths, strict=True)]
            if layer < len(self.layers):
                told = torch.stack([z[:, -shared:].flatten(1) for z in mixed], 1)  # (B, M, bottlenecks*D)
                bottlenecks = present_mean(told, present).view(present.shape[0], shared, -1)
        return streams
