"""MCAN: a Transformer encodes the steps of the guiding modality, and one decoder each lets the others attend to them.

    guide x_g, in each of `layers` units:
        x = LN(x + MultiHead(x, x, x))              (B, T_g, D)
        x = LN(x + FF(x))                           FF(x) = W_2 ReLU(W_1 x), W_1: (4D, D)
    every other modality m, in each of `layers` units, after the guide's last:
        x = LN(x + MultiHead(x, x, x))              (B, T_m, D)
        x = LN(x + MultiHead(x, x_g, x_g))          guided: its queries, the guide's keys and values
        x = LN(x + FF(x))
    a_m = softmax over real steps of v_m' ReLU(U_m x_m + b_m)      (B, T_m); U_m: (D, D)
    z   = sum_m (P_m (a_m x_m) + p_m)               over those that are present, P_m: (2D, D), (B, 2D)
    y   = MLP(LN(z))                                logits, (B, C)

The guide is the modality that the option `guide` names, in the paper the question; a suite's `co_attention_transformer`
stands for one row per guide. Where the guide is absent the guided attention adds nothing. Where every modality has one
step there is nothing to choose from: a note in the row counts what is idle.

Parameters: layers*(12*D+11)*D + (M-1)*layers*(16*D+15)*D + M*(3*D+4)*D + (2*D+1)*W + (W+1)*C
FLOPs: layers*(24*T*D*D + 4*T*T*D) + (M-1)*layers*(32*T*D*D + 8*T*T*D) + M*(2*T*D*D + 4*T*D + 4*D*D) + 2*(2*D*W + W*C)
Source: Yu et al. 2019, "Deep Modular Co-Attention Networks for Visual Question Answering", arXiv:1906.10770, in its
encoder-decoder form, and the authors' code MILVLG/mcan-vqa, core/model/mca.py and core/model/net.py.
Use: with steps in both modalities, where one says what to look for in the other, as a question does in a picture.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import unknown
from fusionbench.fusion._attention import CrossAttention, idle_with_one_step
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, heads_divide, masked_softmax, mlp_head


class CoAttentionTransformer(FusionModule):
    """Self-attention and guided attention, encoder before decoder (MCAN)."""

    display = "MCAN"
    family, per_modality = "token", "guide"
    paper, stage, flow, interaction = "yu2019deep", "token", "sequential", "full"
    fidelity = "faithful"
    tunable = {"layers": (1, 4), "dropout": (0.0, 0.5)}
    departure = (
        "two layers in place of six, on encodings of their own width; of more than two modalities each other one has a "
        "decoder; any may be missing; no biases of keys and values, and no dropout on attention; our common MLP head"
    )

    def __init__(self, setting: Setting, *, guide: str, heads: int = 8, layers: int = 2, dropout: float = 0.1) -> None:
        """`guide` is the modality that guides the attention of the others.

        Raises:
            UserError: the task has no such modality, `heads` do not divide the width, `layers` is below 1, or `dropout`
                is no fraction.
        """
        names, width = setting.task.names, setting.width
        if guide not in names:
            raise unknown("modality", guide, names)
        at_least("co_attention_transformer", "layers", layers, 1)
        heads_divide("co_attention_transformer", heads, width)
        below_one("co_attention_transformer", "dropout", dropout)
        super().__init__(setting)
        self.guide = guide
        self.units = nn.ModuleDict(
            {name: nn.ModuleList(Unit(width, heads, dropout, name != guide) for _ in range(layers)) for name in names}
        )
        self.pools = nn.ModuleDict({name: AttentionPool(width, 2 * width, dropout) for name in names})
        self.head = mlp_head(2 * width, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone has none to guide."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> (B, 2D) of each -> their sum (B, 2D) -> (B, C)."""
        guide = encoded[self.guide]
        leading = guide.tokens
        for unit in cast(nn.ModuleList, self.units[self.guide]):
            leading = unit(leading, guide.mask)
        pooled = []
        for name, one in encoded.items():
            x = leading if name == self.guide else self.guided(name, one, leading, guide.mask)
            pooled.append(self.pools[name](x, one.mask) * one.present[:, None])
        return Prediction(self.head(torch.stack(pooled).sum(0)))

    def notes(self) -> tuple[str, ...]:
        """What is idle where each modality has one step: queries and keys, and the weights of steps in the pools."""
        if not one_step_each(self.task, self.encoders):
            return ()
        idle = idle_with_one_step(self)
        for pool in [part for part in self.modules() if isinstance(part, AttentionPool)]:
            idle += sum(p.numel() for part in (pool.hidden, pool.score) for p in part.parameters())
        return (f"every modality has one step: {idle} parameters (queries, keys, weights of steps) are idle",)

    def guided(self, name: str, one: Encoded, leading: Tensor, mask: Tensor) -> Tensor:
        """What a modality's decoder makes of its steps, (B, T, D), by those of the guide, (B, S, D), bool (B, S)."""
        x = one.tokens
        for unit in cast(nn.ModuleList, self.units[name]):
            x = unit(x, one.mask, leading, mask)
        return x


class Unit(nn.Module):
    """Self-attention, attention to a guide if there is one, a feed-forward network, each with its norm after the sum.

    (12*D+11)*D parameters; (16*D+15)*D with a guide.
    """

    def __init__(self, width: int, heads: int, dropout: float, guided: bool) -> None:
        super().__init__()
        self.own = CrossAttention(width, heads)
        self.to_guide = CrossAttention(width, heads) if guided else None
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if guided else 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, guide: Tensor | None = None, there: Tensor | None = None) -> Tensor:
        """Steps (B, T, D) and the guide's (B, S, D), bool (B, T) and (B, S) for what is real -> (B, T, D)."""
        x = self.norms[0](x + self.dropout(self.own(x, x, mask)))
        if self.to_guide is not None:
            x = self.norms[1](x + self.dropout(self.to_guide(x, guide, there)))
        hidden = self.dropout(F.relu(self.expand(x)))
        found: Tensor = self.norms[-1](x + self.dropout(self.contract(hidden)))
        return found


class AttentionPool(nn.Module):
    """One weight for each step, by an MLP of the step, then an affine map of the weighted sum."""

    def __init__(self, width: int, out: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.score = nn.Linear(width, width), nn.Linear(width, 1, bias=False)  # A bias would cancel.
        self.merge, self.dropout = nn.Linear(width, out), nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), bool (B, T) -> (B, out)."""
        scores = self.score(self.dropout(F.relu(self.hidden(x)))).squeeze(-1)
        merged: Tensor = self.merge((masked_softmax(scores, mask)[:, None] @ x).squeeze(1))
        return merged
