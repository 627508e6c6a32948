"""MMCosine: every modality's features and class weights at length 1, so that none outweighs another by its size.

    h_m = ReLU(V_m LN(x_m) + c_m)                           the last layer of encoder m, (B, D) -> (B, W)
    y_c = scale * sum_m cos(h_m, u_mc)                      u_m: (C, W), no bias, (B, C); over those that are present
    loss = CE(y)

A modality adds at most `scale` to a logit, whatever the lengths of its features and weights; an absent one nothing.
Of a multilabel task log(C - 1) is taken off every logit, so that training starts near the chance of a class, 1/C.

Parameters: M*(D+1)*W + M*C*W
FLOPs: M*2*(D*W + W*C)
Source: Xu et al. 2023, "MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained Learning",
arXiv:2303.05338, and the authors' code GeWu-Lab/MMCosine_ICASSP23, main_CD.py: the loss that it trains with, and its
scale of 10. Its validation reads the plain linear layer, lengths and bias included; ours predicts by what was trained.
Use: where one modality drowns another because its features are larger, and no interaction of modalities is needed.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm


class CosineFusion(FusionModule):
    """Add up the cosines of each modality's features and its class weights (MMCosine)."""

    display = "MMCosine"
    family = "decision"
    paper, stage, interaction, fidelity = "xu2023mmcosine", "decision", "none", "faithful"
    tunable = {"scale": (1.0, 100.0, "log")}
    departure = (
        "a ReLU layer of the common head's width ends every encoder; any number of modalities, any of them missing; of "
        "several labels a sample, logits start from the chance of a class"
    )

    def __init__(self, setting: Setting, *, scale: float = 10.0) -> None:
        """`scale` is the most that a modality can add to a logit.

        Raises:
            UserError: it is not a finite number above 0.
        """
        if not 0 < scale < math.inf:
            raise UserError(f"strategy 'cosine': scale is {scale}; it must be a finite number above 0")
        super().__init__(setting)
        self.scale = scale
        self.layers = nn.ModuleDict({name: _features(setting) for name in setting.task.names})
        self.classes = nn.ModuleDict(
            {name: nn.Linear(setting.head_width, setting.task.classes, bias=False) for name in setting.task.names}
        )

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, W) of each -> (B, C) of each -> their sum (B, C)."""
        own = {
            name: self.cosines(self.layers[name](one.pooled), cast(nn.Linear, self.classes[name]).weight)
            * one.present[:, None]
            for name, one in encoded.items()
        }
        return Prediction(torch.stack(list(own.values())).sum(0) - self.prior, own)

    def cosines(self, features: Tensor, weights: Tensor) -> Tensor:
        """`scale` times the cosines, in float32: (B, W), (C, W) -> (B, C)."""
        # bfloat16 has no more than 16 numbers between 5 and 6.
        with torch.autocast(features.device.type, enabled=False):
            return self.scale * (F.normalize(features.float(), dim=1) @ F.normalize(weights.float(), dim=1).T)

    @property
    def prior(self) -> float:
        """What is taken off every logit: log(C - 1) of a multilabel task."""
        several = self.task.kind == "multilabel" and self.task.classes > 1
        return math.log(self.task.classes - 1) if several else 0.0


def _features(setting: Setting) -> nn.Sequential:
    """(B, D) -> (B, W), none below 0."""
    hidden = nn.Linear(setting.width, setting.head_width)
    return nn.Sequential(HeadNorm([setting.width], setting), hidden, nn.ReLU(), nn.Dropout(setting.dropout))
