"""Softmax attention: every modality scores itself, and a linear classifier sees the weighted mean of their features.

    h_m = ReLU(A_m LN(x_m) + a_m)                      features of modality m, (B, W), W the head width
    e_m = v . tanh(V_m LN(x_m) + c_m)                  its score, v: (hidden,); (B, M)
    y   = L sum_m softmax_m(e)_m h_m + b               over the modalities that are present, (B, W) -> (B, C)

Limited on purpose: of two classes, y_1 - y_0 has the sign of s_1(x_1) f_1(x_1) + s_2(x_2) f_2(x_2), where s_m is
exp(e_m) and f_m what modality m alone would answer. That is a sum over modalities, which gets three of the four cells
of XOR at most. A score that sees all modalities, or an MLP on the mean, would lift this.

Parameters: M*(D+1)*W + M*(D+1)*hidden + hidden + (W+1)*C
FLOPs: 2*(M*D*W + M*D*hidden + M*hidden + W*C)
Source: Hori et al. 2017, "Attention-Based Multimodal Fusion for Video Description", arXiv:1701.03126: a softmax over
modalities of a score by one tanh layer, and a weighted sum of projected features.
Use: to read off one weight for each modality of each sample; not where the label depends on combinations.
"""

from __future__ import annotations

from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, class_layer, each, present_softmax, stacked


class SoftmaxAttention(FusionModule):
    """Attention over modalities, then a linear classifier."""

    display = "Softmax attention"
    family = "feature"
    paper, stage, interaction, fidelity = "hori2017attention", "feature", "limited", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "no decoder whose state helps to score; a ReLU on the projected features; a classifier in place of words"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("softmax_attention", "hidden", hidden, 1)
        super().__init__(setting)
        width, wide = setting.width, setting.head_width
        self.norm = HeadNorm([width], setting)
        self.features = nn.ModuleList(nn.Linear(width, wide) for _ in setting.task.names)
        self.keys = nn.ModuleList(nn.Linear(width, hidden) for _ in setting.task.names)
        self.score = nn.Linear(hidden, 1, bias=False)  # A bias would cancel in the softmax.
        self.dropout = nn.Dropout(setting.dropout)
        self.classifier = class_layer(wide, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> features (B, M, W) and weights (B, M) -> (B, W) -> (B, C)."""
        x, present = stacked(encoded)
        x = self.norm(x)  # Not their mean, whose own size depends on modalities together.
        weights = self.weigh(x, present)
        mean = (each(self.features, x).relu() * weights[..., None] * present[..., None]).sum(1)
        return Prediction(self.classifier(self.dropout(mean)), weights=weights.detach())

    def weigh(self, x: Tensor, present: Tensor) -> Tensor:
        """How much each modality counts: normalised (B, M, D), bool (B, M) -> (B, M), sums to 1 over those present."""
        return present_softmax(self.score(each(self.keys, x).tanh()).squeeze(-1), present)
