"""Sum: every modality projected into one space, added up there, and an MLP on the sum.

    h = sum_m (W_m x_m + b_m)     over the modalities that are present, (B, M, D) -> (B, H)
    y = MLP(LN(h))                logits, (B, C)

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Kiela et al. 2018, "Efficient Large-Scale Multi-Modal Classification", arXiv:1802.02892 (additive fusion: the
vectors of text and picture, each through a matrix of its own, are added and classified).
Use: where the modalities can share one space and the size of the fusion must not grow with their number.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class SumFusion(FusionModule):
    """Add up projections, then classify by an MLP."""

    display = "Sum"
    family = "feature"
    paper, stage, interaction, fidelity = "kiela2018efficient", "feature", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "compared with the paper's formula alone, since no code of it is public; any number of modalities, any of them "
        "missing; our common MLP head in place of its linear classifier"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("sum", "hidden", hidden, 1)
        super().__init__(setting)
        self.projections = nn.ModuleList(nn.Linear(setting.width, hidden) for _ in setting.task.names)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, H) -> (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        h = torch.stack([project(v) for project, v in zip(self.projections, x.unbind(1), strict=True)], 1)
        return Prediction(self.head((h * present[..., None]).sum(1)))
