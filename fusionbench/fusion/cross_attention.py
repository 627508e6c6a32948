"""Cross-modal attention: the steps of each modality attend to the steps of every other one.

    for each ordered pair a <- b, with Z^0 = x_a (B, T_a, D), and in each layer:
        A   = Z + MultiHead(LN(Z), LN(x_b), LN(x_b))        over the real steps of b, (B, T_a, D)
        Z'  = A + W_2 ReLU(W_1 LN(A))                       W_1: (4D, D), W_2: (D, 4D)
    y = MLP([LN(mean_t LN(Z_ab)) for all pairs])            over the real steps of a, (B, M(M-1)*D) -> (B, C)

Where b is absent the attention adds nothing; where a is absent the pair's vector is 0. Where b has one step, attention
has nothing to choose from: queries and keys are idle, and a note in the row counts them.

Parameters: M*(M-1)*(layers*((4*D+2)*D + (D+1)*4*D + (4*D+1)*D + 4*D) + 2*D)
    + (M*(M-1)*D+1)*W + (W+1)*C
FLOPs: M*(M-1)*layers*(24*T*D*D + 4*T*T*D) + 2*(M*(M-1)*D*W + W*C)
Source: Tsai et al. 2019, "Multimodal Transformer for Unaligned Multimodal Language Sequences", arXiv:1906.00295; block
as in the authors' code, yaohungt/Multimodal-Transformer, modules/transformer.py (one LN for Z and x_b, residual around
the unnormalised Z).
Use: with sequences that are not aligned: each step looks up what it needs in the other modality.
"""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion._attention import CrossAttention, idle_with_one_step
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, heads_divide, masked_mean, mlp_head


class CrossAttentionFusion(FusionModule):
    """Directional pairwise cross-modal attention (MulT), mean over steps, then an MLP."""

    display = "MulT"
    family = "token"
    paper, stage, interaction, fidelity = "tsai2019multimodal", "token", "full", "adapted"
    tunable = {"layers": (1, 4), "dropout": (0.0, 0.5)}
    departure = (
        "on the encoders' steps, without temporal convolutions and positions, and so without the code's scaling of "
        "both by sqrt(D); without the self-attention over all streams to a modality and the residual block of the "
        "code's output; mean over steps in place of the last step; dropout on the block's outputs and hidden layer "
        "alone; our common MLP head"
    )

    def __init__(self, setting: Setting, *, heads: int = 4, layers: int = 1, dropout: float = 0.1) -> None:
        at_least("cross_attention", "layers", layers, 1)
        heads_divide("cross_attention", heads, setting.width)
        below_one("cross_attention", "dropout", dropout)
        super().__init__(setting)
        self.pairs = list(permutations(setting.task.names, 2))
        self.streams = nn.ModuleList(_Stream(setting.width, heads, layers, dropout) for _ in self.pairs)
        self.head = mlp_head([setting.width] * len(self.pairs), setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone has no other to attend to."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> (B, D) of each ordered pair -> (B, C)."""
        named = zip(self.pairs, self.streams, strict=True)
        pooled = [stream(encoded[asking], encoded[answering]) for (asking, answering), stream in named]
        return Prediction(self.head(torch.cat(pooled, -1)))

    def notes(self) -> tuple[str, ...]:
        """What is idle where each modality has one step: queries, and the keys' half of keys and values."""
        if not one_step_each(self.task, self.encoders):
            return ()
        idle = idle_with_one_step(self)
        return (f"every modality has one step: attention has no choice, {idle} parameters (queries and keys) are idle",)


class _Stream(nn.Module):
    """One ordered pair: the steps of a modality, adapted layer by layer by those of another, and their mean."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, own: Encoded, other: Encoded) -> Tensor:
        """Tokens (B, T, D) and (B, S, D) -> (B, D)."""
        z = own.tokens
        for block in self.blocks:
            z = block(z, other.tokens, other.mask)
        return masked_mean(self.norm(z), own.mask)


class _Block(nn.Module):
    """One layer of one pair: attention to the other modality, then a feed-forward network."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """Steps z (B, T, D) and other (B, S, D), mask bool (B, S) -> (B, T, D)."""
        heard = self.attention(self.before_attention(z), self.before_attention(other), mask)
        z = z + self.dropout(heard)
        hidden = self.dropout(F.relu(self.expand(self.before_forward(z))))
        return z + self.dropout(self.contract(hidden))
