"""Late fusion: a classifier per modality, trained together through the mean of their logits.

    y = mean_m MLP_m(x_m)     logits, over the modalities that are present, (B, M, D) -> (B, M, C) -> (B, C)

A sum over modalities: no term depends on two of them, so it cannot learn an interaction such as XOR.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Kiela et al. 2020, "The Hateful Memes Challenge", arXiv:2005.04790 (Late Fusion: the mean of the scores of two
classifiers, trained together by the loss of that mean in the authors' code, facebookresearch/mmf,
mmf/models/fusions.py). It is a product rule, a sum of log-posteriors, in the words of Kittler et al. 1998, "On
Combining Classifiers", IEEE TPAMI 20(3).
Use: where modalities may be missing or are trained apart; it cannot see interactions.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, present_mean, stacked


class LateFusion(FusionModule):
    """Average the logits of one MLP per modality."""

    display = "Late fusion"
    family = "decision"
    paper, stage, representation, interaction = "kiela2020hateful", "decision", "single", "none"
    fidelity = "faithful"
    departure = "any number of modalities, any of them missing; our common MLP heads in place of linear classifiers"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> their mean (B, C)."""
        unimodal = {name: self.heads[name](one.pooled) for name, one in encoded.items()}
        _, present = stacked(encoded)
        return Prediction(present_mean(torch.stack(list(unimodal.values()), 1), present), unimodal)
