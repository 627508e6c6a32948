"""Perceiver: a few learned latents ask the steps of all modalities, and talk among themselves in between.

    x = [x_1 + e_1; ...; x_M + e_M]          all steps of each modality; e_m learned, (B, S, D), S = T_1 + ... + T_M
    z = latents, learned                     (B, latents, D)
    in each round:
        z = z + attention(LN(z), LN(x));   z = z + W_2 GELU(W_1 LN(z))      one head, over the real steps
        z = z + attention(LN(z));          z = z + W_4 GELU(W_3 LN(z))      `layers` times, `heads` heads
    y = MLP(LN(mean over latents of z))      (B, D) -> (B, C)

Rounds share their weights, but for the first round's attention to the steps, which has its own. W_1 to W_4: (D, D).

Parameters: (M+latents)*D + (2 if rounds > 1 else 1)*(6*D+10)*D + layers*(6*D+8)*D + (D+1)*W + (W+1)*C
FLOPs: rounds*((8*latents+4*M*T)*D*D + 4*latents*M*T*D + layers*(12*latents*D*D + 4*latents*latents*D))
    + 2*(D*W + W*C)
Source: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention", arXiv:2103.03206; what is
shared, and how many heads, as in the paper; widths of the feed-forward parts, GELU by tanh and no dropout as in
google-deepmind/deepmind-research, perceiver/perceiver.py.
Use: with very many steps: the cost grows with their number, not its square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._attention import CrossAttention, FeedForward, TransformerBlock
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, heads_divide, mlp_head, small_normal


class PerceiverFusion(FusionModule):
    """Latents that attend to all steps again and again (Perceiver), their mean, then an MLP."""

    display = "Perceiver"
    family = "token"
    paper, stage, interaction, fidelity = "jaegle2021perceiver", "token", "full", "adapted"
    tunable = {"latents": (4, 64, "log"), "rounds": (1, 4)}
    departure = (
        "on the encoders' steps in place of raw inputs, so without Fourier positions; modality embeddings are "
        "added, not appended; 16 latents, 2 rounds and 1 layer in place of 512, 8 and 6; our common MLP head"
    )

    def __init__(
        self,
        setting: Setting,
        *,
        latents: int = 16,
        rounds: int = 2,
        layers: int = 1,
        heads: int = 8,
        dropout: float = 0.0,
    ) -> None:
        for option, value in {"latents": latents, "rounds": rounds, "layers": layers}.items():
            at_least("perceiver", option, value, 1)
        heads_divide("perceiver", heads, setting.width)
        below_one("perceiver", "dropout", dropout)
        super().__init__(setting)
        width, self.rounds = setting.width, rounds
        self.modality_embedding = small_normal(len(setting.task.names), width)
        self.latents = small_normal(1, latents, width)
        self.looks = nn.ModuleList(_Look(width, dropout) for _ in range(min(rounds, 2)))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout, 1, "tanh") for _ in range(layers))
        self.head = mlp_head(width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> latents (B, latents, D) -> (B, D) -> (B, C)."""
        named = zip(encoded.values(), self.modality_embedding, strict=True)
        steps = torch.cat([one.tokens + embedding for one, embedding in named], 1)  # (B, S, D)
        mask = torch.cat([one.mask for one in encoded.values()], 1)
        return Prediction(self.head(self.seen(steps, mask).mean(1)))

    def seen(self, steps: Tensor, mask: Tensor) -> Tensor:
        """What the latents make of the steps: (B, S, D), bool (B, S) -> (B, latents, D)."""
        z = self.latents.repeat(steps.shape[0], 1, 1)
        everyone = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)
        for turn in range(self.rounds):
            z = self.looks[0 if turn == 0 else 1](z, steps, mask)
            for block in self.blocks:
                z = block(z, everyone)
        return z


class _Look(nn.Module):
    """The latents' attention to the steps, with one head, then a feed-forward network: (6*D+10)*D parameters."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before_asking, self.before_answering = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads=1)
        self.forward_part = FeedForward(width, width, dropout, "tanh")
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, L, D), steps (B, S, D), mask bool (B, S) -> (B, L, D)."""
        heard = self.attention(self.before_asking(z), self.before_answering(steps), mask)
        return self.forward_part(z + self.dropout(heard))
