"""Late fusion, weights learned: a classifier per modality, and one weight for each in the mean of their logits.

    a = softmax(w)               (M,), over the modalities that are present
    y = sum_m a_m MLP_m(x_m)     logits, (B, M, D) -> (B, M, C) -> (B, C)

Where all modalities are there, the classifiers' last layers could take up the weights: these change how fast each
learns, not what can be learned. They tell where one is missing, since the others' weights then grow. Still a sum over
modalities: it cannot learn an interaction such as XOR.

Parameters: M*((D+1)*W + (W+1)*C) + M
FLOPs: M*2*(D*W + W*C)
Source: Fumera & Roli 2005, "A Theoretical and Experimental Analysis of Linear Combiners for Multiple Classifier
Systems", IEEE TPAMI 27(6): the weighted average, one non-negative weight for each classifier.
Use: as late fusion, where modalities are of unlike quality and one may be missing.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, present_softmax, stacked


class LateLearnedFusion(FusionModule):
    """A weighted mean of the logits of one MLP per modality."""

    display = "Weighted late fusion"
    family, copy_of = "decision", "late"
    paper, stage, representation, interaction = "fumera2005theoretical", "decision", "single", "none"
    fidelity = "adapted"
    departure = "weighs logits in place of estimated posteriors; weights and classifiers are trained together"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})
        self.scores = nn.Parameter(torch.zeros(len(setting.task.names)))

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> their weighted mean (B, C)."""
        unimodal = {name: self.heads[name](one.pooled).float() for name, one in encoded.items()}
        _, present = stacked(encoded)
        weights = present_softmax(self.scores.expand(present.shape), present)  # (B, M)
        logits = (weights[..., None] * present[..., None] * torch.stack(list(unimodal.values()), 1)).sum(1)
        return Prediction(logits, unimodal, weights=weights.detach())
