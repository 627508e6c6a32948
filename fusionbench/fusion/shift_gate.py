"""Shift gate: the other modalities move the encoding of one, the anchor, but never too far.

    g_m = ReLU(G_m [x_m; z] + c_m)                    gate of each other modality beside the anchor z, (B, D)
    h   = sum_m g_m * (W_m x_m + b_m)                 displacement, (B, D)
    a   = min(beta * |z| / |h|, 1)                    so that it is no longer than beta times the anchor, (B, 1)
    y   = MLP(LN(LayerNorm(z + a * h)))               logits, (B, D) -> (B, C)

LayerNorm has weights, and dropout after it, in training; LN has none. An absent modality displaces nothing. Where the
anchor is absent, z = 0 and a = 1: the displacement speaks alone.

Parameters: (M-1)*((2*D+1)*D + (D+1)*D) + 2*D + (D+1)*W + (W+1)*C
FLOPs: 2*((M-1)*3*D*D + D*W + W*C)
Source: Rahman et al. 2020, "Integrating Multimodal Information in Large Pretrained Transformers", arXiv:1908.05787
(multimodal adaptation gate, MAG); biases, norms, dropout of .5 and beta = 1 as in the authors' code,
WasifurRahman/BERT_multimodal_transformer, modeling.py.
Use: where one modality is the anchor, such as text, and the others colour its meaning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError, unknown
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import below_one, mlp_head, stacked

SHORTEST = 1e-6
"""A displacement shorter than this is no direction to scale."""


class ShiftGateFusion(FusionModule):
    """Shift the anchor (None: the first modality) by a gated displacement, then an MLP."""

    display = "MAG"
    family = "sequential"
    paper, stage, flow, interaction, fidelity = "rahman2020integrating", "feature", "sequential", "full", "adapted"
    tunable = {"beta": (0.1, 10.0, "log"), "dropout": (0.0, 0.7)}
    departure = (
        "on the encoders' vectors in place of the word vectors inside a language model; where the anchor is missing, "
        "the displacement stands in for it"
    )

    def __init__(self, setting: Setting, *, anchor: str | None = None, beta: float = 1.0, dropout: float = 0.5) -> None:
        names = setting.task.names
        if anchor is not None and anchor not in names:
            raise unknown("modality", anchor, names, "strategy 'shift_gate': anchor")
        if not 0 < beta < float("inf"):
            raise UserError(f"strategy 'shift_gate': beta is {beta}; it must be a number above 0")
        below_one("shift_gate", "dropout", dropout)
        super().__init__(setting)
        self.anchor, self.beta = names.index(anchor or names[0]), beta
        count, width = len(names) - 1, setting.width
        self.gates = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(count))
        self.shifts = nn.ModuleList(nn.Linear(width, width) for _ in range(count))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.head = mlp_head(width, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone has nothing that could shift it."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> the shifted anchor (B, D) -> (B, C)."""
        return Prediction(self.head(self.dropout(self.norm(self.shifted(*stacked(encoded))))))

    def shifted(self, x: Tensor, present: Tensor) -> Tensor:
        """The anchor plus its displacement: (B, M, D), bool (B, M) -> (B, D)."""
        anchor = x[:, self.anchor]
        shift = torch.zeros_like(anchor)
        others = [m for m in range(x.shape[1]) if m != self.anchor]
        for m, gate, value in zip(others, self.gates, self.shifts, strict=True):
            moved = F.relu(gate(torch.cat([x[:, m], anchor], 1))) * value(x[:, m])
            shift = shift + moved * present[:, m, None]
        long, far = (torch.linalg.vector_norm(v.float(), dim=1, keepdim=True) for v in (anchor, shift))
        ratio = (self.beta * long / far.clamp(min=SHORTEST)).clamp(max=1)  # (B, 1)
        return anchor + torch.where(present[:, self.anchor, None], ratio, torch.ones_like(ratio)) * shift
