"""Cascade: each modality in turn corrects what was predicted before it.

    h_1 = ReLU(A_1 LN(x_1))                      hidden layer of the first modality, (B, W)
    h_m = ReLU(A_m [LN(x_m); LN(h_{m-1})])       of each further one, which also sees the layer before, (B, W)
    y_m = y_{m-1} + V_m h_m                      logits, (B, C), from a learned constant y_0; y_M is the answer

An absent modality corrects nothing: y and h stay as they were, h at zero before the first one that is there.

Parameters: C + (D+1)*W + (M-1)*(D+W+1)*W + M*(W+1)*C
FLOPs: 2*(D*W + (M-1)*(D+W)*W + M*W*C)
Source: Badirli et al. 2020, "Gradient Boosting Neural Networks: GrowNet", arXiv:2002.07971: shallow networks, each on
the input beside the last hidden layer of the one before, add up to the prediction, from a constant.
Use: where one modality is strong and the others should only correct it.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class CascadeFusion(FusionModule):
    """A sum of MLPs, one for each modality, each seeing the hidden layer of the one before."""

    display = "Cascade"
    family = "sequential"
    paper, stage, flow, interaction, fidelity = "badirli2020gradient", "feature", "sequential", "full", "inspired"
    departure = (
        "each network reads another modality, not the same input; all are trained at once on the last sum (the paper's "
        "corrective step alone), neither one by one on the residual's gradient nor with learned step sizes"
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        later = [setting.width, setting.head_width]
        heads = [mlp_head(parts, setting) for parts in [[setting.width], *[later] * (len(setting.task.names) - 1)]]
        self.hidden = nn.ModuleList(head[:-1] for head in heads)
        self.corrections = nn.ModuleList(head[-1] for head in heads)
        # The sum starts from the prior of one head: the priors of all M would add up.
        self.start = nn.Parameter(heads[0].get_parameter("4.bias").detach().clone())
        for head in heads:
            nn.init.zeros_(head.get_parameter("4.bias"))

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> M corrections (B, C) -> their sum (B, C)."""
        x, present = stacked(encoded)
        logits = self.start.expand(x.shape[0], -1)
        hidden = x.new_zeros(x.shape[0], self.setting.head_width)
        for m, (look, correct) in enumerate(zip(self.hidden, self.corrections, strict=True)):
            seen = look(torch.cat([x[:, m], hidden], 1) if m else x[:, m])  # (B, D+W), the first one (B, D) -> (B, W)
            here = present[:, m, None]
            logits = torch.where(here, logits + correct(seen), logits)
            hidden = torch.where(here, seen, hidden)
        return Prediction(logits)
