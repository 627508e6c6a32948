"""Modality dropout: concatenation, trained with whole modalities left out by lot.

    k_m = 0 with probability `drop`, else 1         for each sample and modality on its own, in training only
    y   = MLP([k_1 LN(x_1); ...; k_M LN(x_M)])      logits, (B, M*D) -> (B, C)

One modality of those present is always kept: from none at all, only the classes' frequencies could be learned.

Parameters: (M*D+1)*W + (W+1)*C
FLOPs: 2*(M*D*W + W*C)
Source: Neverova et al. 2016, "ModDrop: adaptive multi-modal gesture recognition", IEEE TPAMI 38(8), arXiv:1501.00102.
Use: where a plain joint network has to stand missing modalities at no extra cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import below_one, mlp_head, stacked


class ModalityDropout(FusionModule):
    """ModDrop on concatenated encodings."""

    display = "ModDrop"
    family = "missing"
    paper, stage, interaction, fidelity = "neverova2016moddrop", "training", "full", "adapted"
    departure = "one modality is always kept; one joint layer in place of gradual fusion; the probability is ours"
    tunable = {"drop": (0.05, 0.5)}

    def __init__(self, setting: Setting, *, drop: float = 0.2) -> None:
        below_one("modality_dropout", "drop", drop)
        super().__init__(setting)
        self.drop = drop
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        x, present = stacked(encoded)
        if self.training:
            x = x * kept(present, self.drop)[..., None]
        return Prediction(self.head(x.flatten(1)))


def kept(present: Tensor, drop: float) -> Tensor:
    """Which modalities stay: bool (B, M) -> bool (B, M), never none of those present."""
    lots = torch.rand(present.shape, device=present.device).masked_fill(~present, -1)
    return present & ((lots >= drop) | (lots == lots.amax(1, keepdim=True)))
