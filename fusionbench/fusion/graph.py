"""Graph: each modality is a node that gathers from all others as much as attention over the edges lets through.

    p_m  = P h_m                                                   h_m = LN(x_m) at first, for each head, (B, M, F)
    e_mn = LeakyReLU(a . p_m + b . p_n)                            edge from n to m, slope 0.2, (B, M, M)
    h'_m = ELU(sum_n softmax_n(e_mn) p_n)                          over the nodes that are there, m among them
    y    = MLP(LN(mean_m h_m))                                     of the last layer, (B, M, heads*F) -> (B, C)

F is `hidden`; heads stand side by side. Every two nodes are joined, and each to itself. An absent modality is no node.
In training `dropout` of what enters P, and of the softmax's weights, is left out. Its default is the paper's where
whole graphs are unseen, as samples are here: 0; within one large graph of few labels it is .6.

Parameters: heads*hidden*(D+2) + (layers-1)*heads*hidden*(heads*hidden+2) + (heads*hidden+1)*W + (W+1)*C
FLOPs: 2*(M*heads*hidden*(D + (layers-1)*heads*hidden) + layers*M*M*heads*hidden + heads*hidden*W + W*C)
Source: Velickovic et al. 2018, "Graph Attention Networks", arXiv:1710.10903; two layers and 8 heads of 8 features
as in the authors' model of Cora; their code, PetarV-/GAT, utils/layers.py (attn_head), with whose nodes ours were
compared, biases at 0.
Use: with three or more modalities whose relations are to be weighted sample by sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, below_one, mlp_head, present_mean, stacked

SLOPE = 0.2
"""Of the leaky ReLU below zero."""


class GraphFusion(FusionModule):
    """Graph attention (GAT) over the complete graph of modalities, the mean of its nodes, then an MLP."""

    display = "GAT"
    family = "feature"
    paper, stage, interaction, fidelity = "velickovic2018graph", "feature", "full", "adapted"
    tunable = {"layers": (1, 3), "hidden": (4, 32, "log")}
    departure = (
        "the nodes are the modalities of a sample, all joined; the last layer's heads stand side by side and an MLP on "
        "the mean node classifies, in place of one output per node; no biases, which the authors' code has"
    )
    own_width = "hidden"

    def __init__(
        self, setting: Setting, *, layers: int = 2, heads: int = 8, hidden: int = 8, dropout: float = 0.0
    ) -> None:
        for option, value in {"layers": layers, "heads": heads, "hidden": hidden}.items():
            at_least("graph", option, value, 1)
        below_one("graph", "dropout", dropout)
        super().__init__(setting)
        widths = [setting.width, *[heads * hidden] * (layers - 1)]
        self.norm = HeadNorm([setting.width], setting)
        self.layers = nn.ModuleList(_GraphAttention(width, heads, hidden, dropout) for width in widths)
        self.head = mlp_head(heads * hidden, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """A graph of one node has no edges."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> nodes (B, M, heads*F) -> (B, C)."""
        x, present = stacked(encoded)
        nodes = self.norm(x)
        for layer in self.layers:
            nodes = layer(nodes, present)
        return Prediction(self.head(present_mean(nodes, present)))


class _GraphAttention(nn.Module):
    """One layer: `heads` of `hidden` features for each node."""

    def __init__(self, inputs: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, heads * hidden, bias=False)
        self.gathers, self.sends = (nn.Parameter(torch.empty(heads, hidden)) for _ in range(2))
        for weight in self.parameters():
            nn.init.xavier_uniform_(weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, present: Tensor) -> Tensor:
        """(B, M, inputs), bool (B, M) -> (B, M, heads*F)."""
        projected = self.project(self.dropout(nodes)).unflatten(-1, self.gathers.shape).transpose(1, 2)
        to, of = ((projected * a[:, None]).sum(-1) for a in (self.gathers, self.sends))  # (B, heads, M) each
        edges = F.leaky_relu(to[..., None] + of[..., None, :], SLOPE)  # (B, heads, M, M)
        # A softmax over nothing is NaN: without any node all are let in, and the mean of none leaves them out.
        there = present | ~present.any(1, keepdim=True)
        trust = edges.masked_fill(~there[:, None, None], -torch.inf).softmax(-1)
        return F.elu((self.dropout(trust) @ projected).transpose(1, 2).flatten(2))
