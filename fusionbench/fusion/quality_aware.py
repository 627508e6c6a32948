"""Quality-aware fusion: every modality's logits count as much as its own energy says it is sure.

    z_m = MLP_m(x_m)                                  logits of modality m, (B, C)
    w_m = 0.1 log sum_c exp(z_mc)                     its confidence: minus a tenth of its energy, (B,)
    y   = sum_m w_m z_m                               over the modalities that are present, (B, C)

    loss    = CE(y) + sum_m CE(z_m) + `weight` sum_m R_m       means over samples (that have the modality)
    R_m     = mean over pairs (i, j) of max(0, s_ij (w_m,i - w_m,j) - |k_i - k_j|),  s_ij = sign(k_i - k_j)

This last part is the one that uses history: k_i is the sum of sample i's losses CE(z_m) in all epochs so far, this step
included, scaled to [0, 1] over all samples trained on so far. Samples that have been harder shall not be the surer
ones; neighbours in the batch are compared. A distance |k_i - k_j| forgives as much, as in both official files. The
history is kept by sample id, lives for one training only, and no prediction depends on it. With `detach`, no gradient
of CE(y) goes through w_m: confidences are trained by R_m, and by CE(z_m), which moves z_m itself.

A modality's term depends on that modality alone: a sum over modalities, additive like `late`, which cannot learn an
interaction such as XOR. Weights normalised over modalities would get three of its four cells; the authors' are not.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Zhang et al. 2023, "Provable Dynamic Fusion for Low-Quality Multimodal Data" (QMF), arXiv:2306.02050, and the
authors' code QingyangZhang/QMF: text-image-classification/train_qmf.py and its src/models/late_fusion.py (weight 1,
with `detach`), with the History of RGBD-scene-recognition/utils/crl_utils.py. Their train_QMF_nyud2.py departs from
that: its weight is 0.1, nothing is detached, and it ranks before a step's losses are added, 0/0 in the first step.
Use: where the quality of modalities changes from sample to sample and shows in their confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion._balance import not_negative
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked

SCALE = 0.1
"""What the authors' code multiplies the energy by."""


class QualityAwareFusion(FusionModule):
    """Quality-aware multimodal fusion (QMF)."""

    display = "QMF"
    family = "decision"
    needs_classes = "its confidence is the energy of a softmax over classes"
    paper, stage, representation, interaction = "zhang2023provable", "decision", "single", "none"
    fidelity = "adapted"
    tunable = {"weight": (0.1, 10.0, "log"), "detach": [False, True]}
    departure = (
        "our common MLP heads; any number of modalities, any of them missing; a history is scaled over the samples met "
        "so far, in the code over all rows, of which those not met yet count as 0 in the first epoch"
    )
    batch_level = "compares neighbours in the batch by a history that each device keeps of the samples it has met"
    remembers = ("history",)
    _ddp_params_and_buffers_to_ignore = ("history",)  # Of other samples on every device: not to be made the same.

    history: Tensor
    """(samples, M): the sum of each sample's losses so far, NaN of one never met; grows with the largest id."""

    def __init__(self, setting: Setting, *, weight: float = 1.0, detach: bool = True) -> None:
        """`weight` is the ranking's; `detach`: whether no gradient of the joint loss goes through the confidences.

        Raises:
            UserError: the weight is negative.
        """
        not_negative("quality_aware", "weight", weight)
        super().__init__(setting)
        self.weight, self.detach_confidence = weight, detach
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})
        self.register_buffer("history", torch.zeros(0, len(setting.task.names)), persistent=False)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Several labels a sample."""
        if setting.task.kind == "multilabel":
            return "its confidence is the energy of a softmax, of one true class a sample; this task is multilabel"
        return ""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> logits (B, M, C) and confidence (B, M) -> (B, C)."""
        _, present = stacked(encoded)
        unimodal = {name: self.heads[name](one.pooled).float() for name, one in encoded.items()}
        logits = torch.stack(list(unimodal.values()), 1)
        confidence = SCALE * logits.logsumexp(-1) * present  # (B, M)
        counts = confidence.detach() if self.detach_confidence else confidence
        return Prediction((counts[..., None] * logits).sum(1), unimodal, weights=confidence)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy of the joint and of every modality's logits, and the ranking of confidences."""
        assert prediction.weights is not None
        present = torch.stack([batch.present[name] for name in prediction.unimodal], 1)  # (B, M)
        own = [F.cross_entropy(z, batch.targets, reduction="none") for z in prediction.unimodal.values()]
        losses = torch.stack(own, 1) * present
        hardness = self.remembered(batch.ids, losses.detach(), present)
        ranking = ranking_loss(prediction.weights, hardness, present)
        unimodal = (losses.sum(0) / present.sum(0).clamp(min=1)).sum()
        return F.cross_entropy(prediction.logits, batch.targets) + unimodal + self.weight * ranking

    def remembered(self, ids: Tensor, losses: Tensor, present: Tensor) -> Tensor:
        """Add losses (B, M) of what is present, bool (B, M), to the samples' histories.

        Returns:
            Those histories, scaled to [0, 1] over all samples met so far, 0 where there is none: (B, M).
        """
        missing = int(ids.max()) + 1 - len(self.history)  # This is a sync point of CPU and GPU.
        if missing > 0:
            self.history = F.pad(self.history, (0, 0, 0, missing), value=torch.nan)
        before = self.history[ids]
        found = torch.where(present, before.nan_to_num() + losses, before)
        self.history[ids] = found
        met = ~self.history.isnan()
        lowest = self.history.where(met, torch.inf).amin(0)
        highest = self.history.where(met, -torch.inf).amax(0)
        return ((found - lowest) / (highest - lowest).clamp(min=torch.finfo(losses.dtype).tiny)).nan_to_num()


def ranking_loss(confidence: Tensor, hardness: Tensor, present: Tensor) -> Tensor:
    """How far harder samples are surer than the next one of the batch, beyond their distance; all (B, M) -> ().

    A mean over the pairs that both have the modality, summed over modalities.
    """
    gap = hardness - hardness.roll(-1, 0)
    surer = confidence - confidence.roll(-1, 0)
    both = present & present.roll(-1, 0)
    over = (gap.sign() * surer - gap.abs()).relu() * both
    return (over.sum(0) / both.sum(0).clamp(min=1)).sum()
