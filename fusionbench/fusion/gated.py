"""Gated fusion: every hidden unit decides how much to trust each modality.

    h_m = tanh(W_m x_m)                      value of modality m, (B, H)
    g_m = sigmoid(V_m [x_1; ...; x_M])       its gate, (B, H); for M = 2, g_2 = 1 - g_1
    y   = MLP(LN(sum_m g_m * h_m))           logits, (B, C)

An absent modality's gate is 0; with M = 2, the other's is then 1, so that the two still sum to 1.

Parameters: M*D*hidden + M*D*hidden*(1 if M == 2 else M) + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + M*D*hidden*(1 if M == 2 else M) + hidden*W + W*C)
Source: Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion", arXiv:1702.01992: no biases, tied gates
for two modalities and independent ones for more. The authors' code, johnarevalo/gmu-mmimdb, model.py (GatedBimodal),
feeds the gate of two with W_m x_m; the paper's formula, and ours, with x_m. Compared with its numbers for W_m = 1.
Use: where how far each modality is to be trusted changes from sample to sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class GatedFusion(FusionModule):
    """Gated multimodal unit (GMU), then an MLP."""

    display = "GMU"
    family = "feature"
    paper, stage, interaction, fidelity = "arevalo2017gated", "feature", "full", "faithful"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "the classifier after it is our common MLP head in place of a maxout network; without the batch normalisation "
        "of inputs and of what the classifier reads, which the authors' code has and the paper does not state"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("gated", "hidden", hidden, 1)
        super().__init__(setting)
        count = len(setting.task.names)
        self.tied = count == 2
        self.values = nn.ModuleList(nn.Linear(setting.width, hidden, bias=False) for _ in range(count))
        self.gate = nn.Linear(count * setting.width, (1 if self.tied else count) * hidden, bias=False)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> values and gates (B, M, H) -> (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        h = torch.stack([value(v) for value, v in zip(self.values, x.unbind(1), strict=True)], 1).tanh()
        g = self.gates(x, present)
        return Prediction(self.head((g * h).sum(1)), weights=g.detach().mean(-1))

    def gates(self, x: Tensor, present: Tensor) -> Tensor:
        """How much each hidden unit takes of each modality: (B, M, D), bool (B, M) -> (B, M, H), each in [0, 1]."""
        g = self.gate(x.flatten(1)).unflatten(1, (-1, self.values[0].out_features)).sigmoid()  # (B, 1 or M, H)
        if self.tied:
            both = present.all(1)[:, None, None]
            g = torch.where(both, torch.cat([g, 1 - g], 1), torch.ones_like(g))
        return g * present[..., None]
