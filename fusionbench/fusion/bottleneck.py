"""Bottleneck fusion: modalities exchange what they know only through a few tokens that they share.

    z_m = [c_m; x_m], with a learned class token c_m     (B, T_m+1, D); b: learned, (B, bottlenecks, D)
    in each layer, for each modality that is present, by its own Transformer block:
        [z_m; b_m] = block_m([z_m; b])                   over the real steps of m and the bottlenecks
        b          = mean_m b_m                          over the modalities that are present
    y = MLP(mean_m LN(z_m)[0])                           class tokens of those present, (B, M, D) -> (B, D) -> (B, C)

In the first layer the bottlenecks only collect, so it takes two for anything to cross. Of the last layer only the class
tokens are computed, since nothing else is read.

Parameters: (M+bottlenecks)*D + M*layers*(12*D+11)*D + 2*D + (D+1)*W + (W+1)*C
FLOPs: M*(layers-1)*(24*(T+1+bottlenecks)*D*D + 4*(T+1+bottlenecks)*(T+1+bottlenecks)*D)
    + M*((4*(T+1+bottlenecks)+20)*D*D + 4*(T+1+bottlenecks)*D) + 2*(D*W + W*C)
Source: Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion", arXiv:2107.00135. Blocks for each modality,
the mean of the bottlenecks, their number and their start as in the authors' code, google-research/scenic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion._blocks import TransformerBlock, at_least, heads_divide, mlp_head, present_mean, small_normal
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class BottleneckFusion(FusionModule):
    """Multimodal bottleneck Transformer (MBT), mean of the class tokens, then an MLP."""

    paper, stage, interaction, fidelity = "nagrani2021attention", "token", "full", "adapted"
    departure = (
        "on the encoders' steps in place of patches, so without positions and without layers before the fusion; 2 layers "
        "in place of 4 that fuse; the mean over class tokens is taken before the classifier, which is our common MLP head"
    )

    def __init__(self, setting: Setting, *, bottlenecks: int = 4, heads: int = 4, layers: int = 2) -> None:
        at_least("bottleneck", "bottlenecks", bottlenecks, 1)
        at_least("bottleneck", "layers", layers, 2)
        heads_divide("bottleneck", heads, setting.width)
        super().__init__(setting)
        count, width = len(setting.task.names), setting.width
        self.class_tokens = small_normal(count, 1, width)
        self.bottlenecks = small_normal(1, bottlenecks, width)
        self.layers = nn.ModuleList(
            nn.ModuleList(TransformerBlock(width, heads, setting.dropout) for _ in range(count)) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = mlp_head(width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> class tokens (B, M, D) -> (B, D) -> (B, C)."""
        present = torch.stack([one.present for one in encoded.values()], 1)
        return Prediction(self.head(present_mean(self.norm(self.class_vectors(encoded, present)), present)))

    def class_vectors(self, encoded: dict[str, Encoded], present: Tensor) -> Tensor:
        """What the class token of each modality has become, (B, M, D)."""
        size, shared = present.shape[0], self.bottlenecks.shape[1]
        streams = [
            torch.cat([token.expand(size, -1, -1), one.tokens], 1)
            for token, one in zip(self.class_tokens, encoded.values(), strict=True)
        ]
        masks = [F.pad(one.mask, (1, shared), value=True) for one in encoded.values()]
        bottlenecks = self.bottlenecks.expand(size, -1, -1)
        for blocks in self.layers[:-1]:
            mixed = [
                block(torch.cat([z, bottlenecks], 1), mask)
                for block, z, mask in zip(blocks, streams, masks, strict=True)
            ]
            streams = [z[:, :-shared] for z in mixed]
            told = torch.stack([z[:, -shared:].flatten(1) for z in mixed], 1)  # (B, M, bottlenecks*D)
            bottlenecks = present_mean(told, present).unflatten(1, (shared, -1))
        return torch.cat(
            [
                block(torch.cat([z, bottlenecks], 1), mask, 1)
                for block, z, mask in zip(self.layers[-1], streams, masks, strict=True)
            ],
            1,
        )
