"""Quality-aware fusion: every modality's logits count as much as its own energy says it is sure.

    z_m = MLP_m(x_m)                                  logits of modality m, (B, C)
    w_m = 0.1 log sum_c exp(z_mc)                     its confidence: minus a tenth of its energy, (B,)
    y   = sum_m w_m z_m                               over the modalities that are present, (B, C)

    loss    = CE(y) + sum_m CE(z_m) + sum_m R_m       means over samples (that have the modality)
    R_m     = mean over pairs (i, j) of max(0, s_ij (w_m,i - w_m,j) - |k_i - k_j|),  s_ij = sign(k_i - k_j)

This last part is the one that uses history: k_i is the sum of sample i's losses CE(z_m) in all epochs so far, scaled
to [0, 1] over the training set. Samples that have been harder shall not be the surer ones; neighbours in the batch are
compared. The history is kept by sample id, lives for one training only, and no prediction depends on it.

A modality's term depends on that modality alone: a sum over modalities, additive like `late`, which cannot learn an
interaction such as XOR. Weights normalised over modalities would get three of its four cells; the authors' are not.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Zhang et al. 2023, "Provable Dynamic Fusion for Low-Quality Multimodal Data" (QMF), arXiv:2306.02050; where
abstract and title leave it open, we follow the authors' code.
Use: where the quality of modalities changes from sample to sample and shows in their confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion._blocks import mlp_head, stacked
from fusionbench.fusion.base import FusionModule, Prediction, Setting

SCALE = 0.1
"""What the authors' code multiplies the energy by."""


class QualityAwareFusion(FusionModule):
    """Quality-aware multimodal fusion (QMF)."""

    family = "decision"
    paper, stage, representation, interaction = "zhang2023provable", "decision", "single", "none"
    fidelity = "faithful"
    departure = "our common MLP heads; any number of modalities, any of them missing"
    batch_level = "compares neighbours in the batch by a history that each device keeps of the samples it has met"
    _ddp_params_and_buffers_to_ignore = ("history",)  # Of other samples on every device: not to be made the same.

    history: Tensor
    """(samples, M): the sum of each sample's losses so far; grows with the largest id."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
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
        return Prediction((confidence[..., None] * logits).sum(1), unimodal, weights=confidence)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy of the joint and of every modality's logits, and the ranking of confidences."""
        assert prediction.weights is not None
        present = torch.stack([batch.present[name] for name in prediction.unimodal], 1)  # (B, M)
        own = [F.cross_entropy(z, batch.targets, reduction="none") for z in prediction.unimodal.values()]
        losses = torch.stack(own, 1) * present
        hardness = self.remembered(batch.ids, losses.detach())
        ranking = ranking_loss(prediction.weights, hardness, present)
        unimodal = (losses.sum(0) / present.sum(0).clamp(min=1)).sum()
        return F.cross_entropy(prediction.logits, batch.targets) + unimodal + ranking

    def remembered(self, ids: Tensor, losses: Tensor) -> Tensor:
        """Add losses (B, M) to the samples' histories; gives those, scaled to [0, 1] over all samples, (B, M)."""
        missing = int(ids.max()) + 1 - len(self.history)  # This is a sync point of CPU and GPU.
        if missing > 0:
            self.history = F.pad(self.history, (0, 0, 0, missing))
        self.history[ids] += losses
        lowest, highest = self.history.amin(0), self.history.amax(0)
        return (self.history[ids] - lowest) / (highest - lowest).clamp(min=torch.finfo(losses.dtype).tiny)


def ranking_loss(confidence: Tensor, hardness: Tensor, present: Tensor) -> Tensor:
    """How far harder samples are surer than the next one of the batch, beyond their distance; all (B, M) -> ().

    A mean over the pairs that both have the modality, summed over modalities.
    """
    gap = hardness - hardness.roll(-1, 0)
    surer = confidence - confidence.roll(-1, 0)
    both = present & present.roll(-1, 0)
    over = (gap.sign() * surer - gap.abs()).relu() * both
    return (over.sum(0) / both.sum(0).clamp(min=1)).sum()
