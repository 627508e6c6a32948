"""Gated cross-attention: the other modalities are let into one modality's Transformer by gates that start closed.

    s   = LN([x_n; ...])                            the steps of all other modalities, (B, S, D)
    z^0 = [t; x_r]                                  a learned token before the reader's steps, (B, 1+T, D)
    in each layer, over what is real:
        z = z + tanh(a) MultiHead(LN(z), s, s)      a = `opening` at first, a number for each layer
        z = z + tanh(b) FF(LN(z))                   b as a; FF(z) = W_2 GELU(W_1 z), W_1: (4D, D)
        z = z + MultiHead(LN(z), LN(z), LN(z))      the reader's own layer
        z = z + FF(LN(z))
    y   = MLP(LN(LN(z_t)))                          what has become of the token, logits, (B, D) -> (B, C)

The reader is the modality that the option `reader` names, in the paper the text; a suite's `gated_cross_attention`
stands for one row per reader. With `opening` 0 a fresh model is that of the reader alone, to the last bit; its gates
open as far as the others help. Where the reader is absent the token still reads the others. Where what is read has one
step there is nothing to choose from, and a note in the row counts what is idle.

Parameters: layers*(2*(12*D+11)*D + 2) + 5*D + (D+1)*W + (W+1)*C
FLOPs: layers*(4*D*D*(T+1+(M-1)*T) + 4*(T+1)*(M-1)*T*D + 16*(T+1)*D*D) + (layers-1)*(24*(T+1)*D*D + 4*(T+1)*(T+1)*D)
    + (4*(T+1)+20)*D*D + 4*(T+1)*D + 2*(D*W + W*C)
Source: Alayrac et al. 2022, "Flamingo: a Visual Language Model for Few-Shot Learning", arXiv:2204.14198, whose code is
not public; the gated block compared with others' code of it, mlfoundations/open_flamingo, open_flamingo/src/helpers.py.
Use: where one modality is trusted and it is open whether the others add to it.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError, unknown
from fusionbench.encoders.base import Encoder
from fusionbench.fusion._attention import CrossAttention, TransformerBlock, idle_with_one_step, with_steps
from fusionbench.fusion._stages import most_steps
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, heads_divide, mlp_head, small_normal


class GatedCrossAttentionFusion(FusionModule):
    """A Transformer over one modality that reads the others through tanh gates (Flamingo)."""

    display = "Flamingo"
    family, per_modality = "token", "reader"
    paper, stage, flow, interaction = "alayrac2022flamingo", "token", "sequential", "full"
    fidelity = "adapted"
    tunable = {"layers": (1, 4), "opening": (0.0, 1.0)}
    departure = (
        "between the layers of a small Transformer over the reader's encoded steps, trained with all the rest, in "
        "place of a large language model's that is frozen; no Perceiver resampler before it: the others' steps are "
        "normalised; a learned token is read out; linear layers have biases; GELU; our common MLP head"
    )

    def __init__(self, setting: Setting, *, reader: str, heads: int = 4, layers: int = 2, opening: float = 0.0) -> None:
        """`reader` is the modality that reads the others, `opening` where its gates start, before the tanh.

        Raises:
            UserError: the task has no such modality, `heads` do not divide the width, `layers` is below 1, or `opening`
                is no finite number.
        """
        names, width = setting.task.names, setting.width
        if reader not in names:
            raise unknown("modality", reader, names)
        at_least("gated_cross_attention", "layers", layers, 1)
        heads_divide("gated_cross_attention", heads, width)
        if not math.isfinite(opening):
            raise UserError(f"strategy 'gated_cross_attention': opening is {opening}; it must be a finite number")
        super().__init__(setting)
        self.reader = reader
        self.token = small_normal(1, 1, width)
        self.others_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gated = nn.ModuleList(GatedBlock(width, heads, opening) for _ in range(layers))
        self.own = nn.ModuleList(TransformerBlock(width, heads, 0.0) for _ in range(layers))
        self.head = mlp_head(width, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone has no other to read."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> (B, 1+T, D) of the reader -> (B, D) of its token -> (B, C)."""
        own, others = encoded[self.reader], [one for name, one in encoded.items() if name != self.reader]
        steps = self.others_norm(torch.cat([one.tokens for one in others], 1))  # (B, S, D)
        there = torch.cat([one.mask for one in others], 1)
        z = torch.cat([self.token.expand(own.tokens.shape[0], -1, -1), own.tokens], 1)
        mask = with_steps(own.mask, before=1)  # The token itself is always there.
        last = len(self.own) - 1
        for layer, (gated, block) in enumerate(zip(self.gated, self.own, strict=True)):
            z = block(gated(z, steps, there), mask, 1 if layer == last else None)
        return Prediction(self.head(self.norm(z[:, 0])))

    def notes(self) -> tuple[str, ...]:
        """What is idle where the others together have one step: queries and keys of the gated attention."""
        others = [spec for spec in self.task.modalities if spec.name != self.reader]
        encoders = cast(dict[str, Encoder], self.encoders)
        if sum(most_steps(spec, encoders[spec.name]) for spec in others) > 1:
            return ()
        idle = idle_with_one_step(self.gated)
        return (f"what is read has one step: {idle} parameters (queries and keys of gated attention) are idle",)


class GatedBlock(nn.Module):
    """Attention to other steps, then a feed-forward network, each behind a gate: (12*D+11)*D + 2 parameters."""

    def __init__(self, width: int, heads: int, opening: float) -> None:
        super().__init__()
        self.before_attention, self.before_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gates = nn.Parameter(torch.full((2,), float(opening)))

    def forward(self, z: Tensor, steps: Tensor, there: Tensor) -> Tensor:
        """Steps z (B, T, D), the others' (B, S, D), bool (B, S) for real ones -> (B, T, D)."""
        to_attention, to_forward = self.gates.tanh()
        z = z + to_attention * self.attention(self.before_attention(z), steps, there)
        return z + to_forward * self.contract(F.gelu(self.expand(self.before_forward(z))))
