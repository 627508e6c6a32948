"""Max: every modality projected into one space, where each hidden unit keeps its largest value.

    h = max_m (W_m x_m + b_m)     over the modalities that are present, unit by unit, (B, M, D) -> (B, H)
    y = MLP(LN(h))                logits, (B, C)

The biases start at 0: where encodings are small, random ones decide beforehand which modality is never the largest, and
such a one gets no gradient.

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Kiela et al. 2018, "Efficient Large-Scale Multi-Modal Classification", arXiv:1802.02892 (max-pooling fusion: the
vectors of text and picture, each through a matrix of its own, are compared component by component).
Use: where one modality at a time is decisive, and which one differs from feature to feature.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, stacked


class MaxFusion(FusionModule):
    """Keep the largest of the projections, then classify by an MLP."""

    display = "Max"
    family = "feature"
    paper, stage, interaction, fidelity = "kiela2018efficient", "feature", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "compared with the paper's formula alone, since no code of it is public; any number of modalities, any of them "
        "missing; our common MLP head in place of its linear classifier"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("max", "hidden", hidden, 1)
        super().__init__(setting)
        self.projections = nn.ModuleList(_projection(setting.width, hidden) for _ in setting.task.names)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, H) -> (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        h = each(self.projections, x).masked_fill(~present[..., None], -torch.inf).amax(1)
        anyone = present.any(1, keepdim=True)  # (B, 1)
        return Prediction(self.head(torch.where(anyone, h, torch.zeros_like(h))))


def _projection(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer
