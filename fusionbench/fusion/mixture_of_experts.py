"""Mixture of experts: one expert per modality, and a gate that looks at the whole sample to say whom to believe.

    p_m = softmax(MLP_m(x_m))                 an expert's class probabilities; multilabel: sigmoid, (B, C)
    g   = softmax(V norm(x) + c)              x = [x_1; ...; x_M], each part of it normalised by itself (HeadNorm); over
                                              the modalities that are present, (B, M)
    y   = log sum_m g_m p_m                   multilabel: the logit of that sum, (B, C)
                                              regression: sum_m g_m MLP_m(x_m), experts are Gaussians of width 1 there

The loss is the negative log-likelihood of the mixture; of Gaussians around numbers it is, t being the standardised ones
to predict, -log sum_m g_m exp(-|t - MLP_m(x_m)|^2 / 2). The gate sees all modalities, but by a linear map: the odds of
one expert against another are a product of one factor per modality. To get all four cells of XOR, one expert would
have to say yes and the other no whatever they see, and these odds to tell the cells apart, which they cannot: three of
four at most. A gate with a hidden layer could, but some seeds then stay at three cells and others do not.

Parameters: M*((D+1)*W + (W+1)*C) + (M*D+1)*M
FLOPs: 2*(M*(D*W + W*C) + M*D*M)
Source: Jacobs et al. 1991, "Adaptive Mixtures of Local Experts", Neural Computation 3(1): a softmax gate on the input,
and the likelihood of the mixture as the objective.
Use: where each modality is right on samples of its own kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, mlp_head, stacked


@dataclass
class _Mixture(Prediction):
    """A prediction, and the gate behind it."""

    log_gate: Tensor | None = None
    """(B, M)."""


class MixtureOfExperts(FusionModule):
    """Experts by modality, mixed by a gate on all of them."""

    display = "Mixture of experts"
    family = "decision"
    paper, stage, interaction, fidelity = "jacobs1991adaptive", "decision", "limited", "adapted"
    departure = (
        "an expert sees its own modality only, in place of the whole input; class probabilities where there are "
        "classes; Gaussians, as the paper's, of numbers"
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        count = len(setting.task.names)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})
        self.gate = nn.Sequential(HeadNorm([setting.width] * count, setting), nn.Linear(count * setting.width, count))

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> experts (B, M, C) and gate (B, M) -> (B, C)."""
        unimodal = {name: self.heads[name](one.pooled).float() for name, one in encoded.items()}
        x, present = stacked(encoded)
        log_gate = self.log_gate(x, present)
        experts, some = torch.stack(list(unimodal.values()), 1), log_gate[..., None]
        if self.task.kind == "regression":
            logits = (some.exp() * experts).sum(1)
        elif self.task.kind == "multiclass":
            logits = (some + experts.log_softmax(-1)).logsumexp(1)
        else:
            # logit(p) = log p - log(1 - p), where neither p nor 1 - p is ever rounded to 0.
            logits = (some + F.logsigmoid(experts)).logsumexp(1) - (some + F.logsigmoid(-experts)).logsumexp(1)
        return _Mixture(logits, unimodal, weights=log_gate.detach().exp(), log_gate=log_gate)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The negative log-likelihood: of classes the cross-entropy of the mixture's logits."""
        if self.task.kind != "regression":
            return super().loss(prediction, batch)
        assert isinstance(prediction, _Mixture)
        assert prediction.log_gate is not None
        experts = torch.stack(list(prediction.unimodal.values()), 1)  # (B, M, C)
        apart = (experts - batch.targets[:, None]).float().square().sum(-1) / 2
        return -(prediction.log_gate - apart).logsumexp(1).mean()

    def log_gate(self, x: Tensor, present: Tensor) -> Tensor:
        """Logarithms of the gate's weights: (B, M, D), bool (B, M) -> (B, M); hugely negative for the absent."""
        scores = self.gate(x.flatten(1)).float()
        return scores.masked_fill(~present, torch.finfo(scores.dtype).min).log_softmax(1)
