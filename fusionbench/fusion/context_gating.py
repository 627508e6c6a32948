"""Context gating: the joint features switch one another on and off, and so do the class scores after them.

    h = W [LN(x_1); ...; LN(x_M)] + b                    joint features, (B, M*D) -> (B, W), W the head width
    z = LN(sigmoid(V h + c) * h)                         each unit gated by all of them, (B, W)
    p = sum_k softmax_k(G_k z)_k sigmoid(E_k z + e_k)    a mixture of experts for each class, (B, K, C) -> (B, C)
    s = sigmoid(U p + d) * p                             each class gated by all of them, (B, C)
    y = log s - log(1 - s)                               logits; multiclass: log s, whose softmax is s / sum_c s

K is `mixtures`; one more expert always says no, so the gate's softmax is over K+1. An absent modality adds nothing to
h; the bias b belongs to no modality. The gate between classes has C*C weights, as many as the paper's.

Multilabel: the experts' biases start where every class has the chance 1/C, as in `class_layer`. For one true class a
sample, which the paper does not have, dividing the scores by their sum is ours.

Parameters: (M*D+1)*W + (W+1)*W + (2*mixtures+1)*W*C + mixtures*C + (C+1)*C
FLOPs: 2*(M*D*W + W*W + (2*mixtures+1)*W*C + C*C)
Source: Miech et al. 2017, "Learnable pooling with Context Gating for video classification", arXiv:1706.06905, and the
authors' code: antoine77340/Youtube-8M-WILLOW, video_level_models.py (MoeModel: two experts and one that says no, the
gate between classes), and antoine77340/LOUPE, loupe.py (context_gating: the gate between features, with its bias c, or
normalised over the batch in its place). Ours were compared with the numbers of both.
Use: with precomputed features and many labels, where some features matter only in the company of others.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, stacked


class ContextGating(FusionModule):
    """A gate on the joint features, a mixture of experts, and a gate on its class scores."""

    display = "Context gating"
    family = "feature"
    needs_classes = "its experts and its last gate give every class a score between 0 and 1"
    paper, stage, interaction, fidelity = "miech2017learnable", "feature", "full", "faithful"
    tunable = {"mixtures": (1, 8)}
    departure = (
        "our encoders in place of its learned pooling; biases in place of normalisation over the batch; dropout before "
        "the mixture; any modality may be missing; where one class is true, scores are divided by their sum"
    )

    def __init__(self, setting: Setting, *, mixtures: int = 2) -> None:
        at_least("context_gating", "mixtures", mixtures, 1)
        super().__init__(setting)
        wide, classes = setting.head_width, setting.task.classes
        self.mixtures = mixtures
        self.encodings = HeadNorm([setting.width] * len(setting.task.names), setting)
        self.features = nn.Linear(len(setting.task.names) * setting.width, wide)
        self.gate = nn.Linear(wide, wide)
        self.norm = HeadNorm([wide], setting)
        self.dropout = nn.Dropout(setting.dropout)
        self.choice = nn.Linear(wide, classes * (mixtures + 1), bias=False)
        self.experts = nn.Linear(wide, classes * mixtures)
        self.class_gate = nn.Linear(classes, classes)
        if setting.task.kind == "multilabel":
            nn.init.constant_(self.experts.bias, _prior(classes, mixtures))

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, W) -> class scores and their gates (B, C) -> logits (B, C)."""
        x, _ = stacked(encoded)
        yes, no = self.mixture(self.dropout(self.norm(self.gated(x))))
        gates = self.class_gate(yes.exp()).float()
        log_score = yes + F.logsigmoid(gates)
        if self.task.kind == "multiclass":
            return Prediction(log_score)
        # 1 - s = (1 - p) + p sigmoid(-gates), without a difference that could round to 0.
        return Prediction(log_score - no.logaddexp(yes + F.logsigmoid(-gates)))

    def gated(self, x: Tensor) -> Tensor:
        """Features times their gates: (B, M, D), zeros where absent -> (B, W)."""
        h = self.features(self.encodings(x.flatten(1)))
        return self.gate(h).sigmoid() * h

    def mixture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithms of p and of 1 - p: (B, W) -> float32 (B, C) each."""
        shape = (self.task.classes, -1)
        log_choice = self.choice(z).float().unflatten(1, shape).log_softmax(-1)  # (B, C, K+1); the last one says no
        said = self.experts(z).float().unflatten(1, shape)  # (B, C, K)
        chosen = log_choice[..., :-1]
        no = (chosen + F.logsigmoid(-said)).logsumexp(-1)
        return (chosen + F.logsigmoid(said)).logsumexp(-1), no.logaddexp(log_choice[..., -1])


def _prior(classes: int, mixtures: int) -> float:
    """Where an expert's bias makes a score 1/C: its share K/(K+1) of the choice and a gate half open are in between."""
    chance = min(0.5, 2 * (mixtures + 1) / (mixtures * classes))
    return math.log(chance / (1 - chance))
