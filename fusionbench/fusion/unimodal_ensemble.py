"""Unimodal ensemble: every modality's model is trained alone, and their class probabilities are averaged.

    p_m = softmax(MLP_m(x_m))       multilabel: sigmoid; each trained by its own loss, (B, C)
    y   = log mean_m p_m            over the modalities that are present; multilabel: logit of that mean, (B, C)
                                    regression: mean_m MLP_m(x_m)

What beats this baseline has gained from fusing, not from having several models. No member ever sees two modalities,
neither in its input nor in its gradient.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Kittler et al. 1998, "On Combining Classifiers", IEEE TPAMI 20(3): the sum rule with equal priors.
Use: to see whether a fusion gains more than averaging separate models does; as a method, where modalities must never
influence each other's training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion._ensemble import mean_probability
from fusionbench.fusion.base import FusionModule, Prediction, Setting, sample_losses
from fusionbench.fusion.blocks import mlp_head, stacked


class UnimodalEnsemble(FusionModule):
    """Average the probabilities of separately trained unimodal models."""

    display = "Unimodal ensemble"
    family = "baseline"
    paper, stage, representation, interaction = "kittler1998combining", "decision", "single", "none"
    fidelity = "adapted"
    departure = "posteriors of MLPs that are trained side by side, each alone; no code of the authors to compare with"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> log of their mean probability (B, C)."""
        unimodal = {name: self.heads[name](one.pooled).float() for name, one in encoded.items()}
        _, present = stacked(encoded)
        logits = torch.stack(list(unimodal.values()), 1)  # (B, M, C)
        return Prediction(mean_probability(logits, present, self.task), unimodal)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The sum of the members' own losses, each a mean over the samples that have its modality."""
        return torch.stack(
            [self._own_loss(logits, batch.targets, batch.present[name]) for name, logits in prediction.unimodal.items()]
        ).sum()

    def _own_loss(self, logits: Tensor, targets: Tensor, present: Tensor) -> Tensor:
        losses = sample_losses(logits, targets, self.task)
        return (losses * present).sum() / present.sum().clamp(min=1)
