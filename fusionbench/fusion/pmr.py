"""PMR: the modality that is behind also learns to cluster around its own class prototypes.

    c_mk   = mean of x_m over samples of class k       prototypes, (M, C, D), of a tenth of the training set, anew at
             every epoch's start in eval mode: c <- momentum c + (1 - momentum) c_new
    p_m    = softmax_k(-|x_m - c_mk|)                  a classifier without parameters, (B, C)
    s_m    = mean over samples of p_m[k]               k the true class; over the batch of all devices, with m
    beta_m = clip(max_n s_n / s_m - 1, 0, 1)           how far it is behind
    gam_m  = clip(s_m / min_n s_n - 1, 0, 1)           how far it is ahead

    y      = MLP([x_1; ...; x_M])                      logits, (B, M*D) -> (B, C)
    loss   = CE(y) + alpha sum_m beta_m mean(-log p_m[k]) - mu sum_m gam_m mean(H(p_m))

with the entropy H in the first `early` epochs only. For M = 2 this is the paper's rho = s_1 / s_2, where one of the two
betas is 0 and multiplies the other modality's entropy; for M > 2 the generalisation is ours. No prediction depends on
prototypes. A class without samples in the tenth keeps the prototype it had; one that never had any is left out of the
softmax, and its samples of s and of both terms, as is a sample without the modality of that modality's.

The tenth is the first batches that the Trainer's training data gives in that epoch: at least one. It is read once more
for that, so it must be a loader that can start again, such as any DataLoader.

Parameters: (M*D+1)*W + (W+1)*C
FLOPs: 2*(M*D*W + W*C)
Source: Fan et al. 2023, "PMR: Prototypical Modal Rebalance for Multimodal Learning", arXiv:2211.07089, equations 6 to
13 and algorithm 1; momentum and the first tenth as in the authors' code, fanyunfeng-bit/Modal-Imbalance-PMR
(main_Prototype_grad.py), `early` is ours: the paper says "few". That file departs from the paper: the modality that is
behind counts alpha however far it is behind, and there is no entropy term; we follow the paper.
Use: where the weaker modality needs a goal of its own: its class prototypes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._balance import (
    frozen_encoders,
    not_negative,
    sums_and_counts,
    true_probability,
)
from fusionbench.fusion._devices import device_count, sum_over_devices
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked

PART = 10
"""Prototypes are made of one of so many parts of the training set."""
FARTHEST = 1e9
"""The distance to a class that has no prototype."""


class PmrFusion(FusionModule):
    """Prototypical modal rebalance (PMR) on a concatenation."""

    display = "PMR"
    family, trains_encoders, copy_of = "training", True, "concat"
    needs_classes = "its prototypes are of classes"
    paper, stage, interaction, fidelity = "fan2023pmr", "training", "full", "adapted"
    tunable = {"alpha": (0.1, 10.0, "log"), "mu": (0.001, 0.1, "log")}
    departure = (
        "the paper's coefficients and entropy term, which the authors' file leaves out: there whichever modality is "
        "behind counts alpha; our common MLP head in place of a linear layer; any number of modalities, any missing"
    )

    prototypes: Tensor
    """(M, C, D)."""
    seen: Tensor
    """(M, C): 1 where there is a prototype, else 0."""

    def __init__(
        self, setting: Setting, *, alpha: float = 1.0, mu: float = 0.01, momentum: float = 0.2, early: int = 5
    ) -> None:
        """`alpha` weighs the prototypical cross-entropy, `mu` the entropy in `early` epochs; `momentum` of prototypes.

        Raises:
            UserError: a weight is negative, or `momentum` outside 0 to 1.
        """
        not_negative("pmr", "alpha", alpha)
        not_negative("pmr", "mu", mu)
        at_least("pmr", "early", early, 0)
        if not 0 <= momentum < 1:
            raise UserError(f"strategy 'pmr': momentum is {momentum}; it must be from 0 to below 1")
        super().__init__(setting)
        self.alpha, self.mu, self.momentum, self.early = alpha, mu, momentum, early
        count = len(self.task.names)
        self.head = mlp_head([setting.width] * count, setting)
        self.register_buffer("prototypes", torch.zeros(count, self.task.classes, setting.width))
        self.register_buffer("seen", torch.zeros(count, self.task.classes))

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Several labels a sample, or encoders that are not trained."""
        if setting.task.kind == "multilabel":
            return "its prototypes are of classes of which a sample has exactly one; this task is multilabel"
        return frozen_encoders(setting, "it gives the encoders losses of their own")

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C); in training `unimodal` holds minus the distances to prototypes (B, C)."""
        pooled, _ = stacked(encoded)
        logits = self.head(pooled.flatten(1))
        if not self.training:
            return Prediction(logits)
        return Prediction(logits, dict(zip(encoded, self.nearness(pooled).unbind(1), strict=True)))

    def nearness(self, pooled: Tensor) -> Tensor:
        """Minus the distance to each class's prototype: (B, M, D) -> (B, M, C)."""
        by_modality = pooled.float().transpose(0, 1)  # (M, B, D)
        # Never by |x|^2 - 2 x c + |c|^2, which loses small distances.
        far = torch.cdist(by_modality, self.prototypes, compute_mode="donot_use_mm_for_euclid_dist")
        return -far.masked_fill(self.seen[:, None] == 0, FARTHEST).transpose(0, 1)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy, and in training what prototypes add."""
        fused = super().loss(prediction, batch)
        return fused + self.rebalancing(prediction, batch) if prediction.unimodal else fused

    def rebalancing(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The prototypical terms of the loss."""
        near = torch.stack(list(prediction.unimodal.values()), 1)  # (B, M, C)
        present = torch.stack([batch.present[name] for name in prediction.unimodal], 1)
        counted = present & (self.seen.T[batch.targets] > 0)  # (B, M)
        probability, _ = true_probability(near.detach(), batch.targets, self.task)
        sums, counts = sum_over_devices(self, sums_and_counts(probability, counted))
        behind, ahead = coefficients(sums / counts.clamp(min=1), counts > 0)
        logs = near.log_softmax(2)
        own = -logs.gather(2, batch.targets[:, None, None].expand(-1, logs.shape[1], 1)).squeeze(2)  # (B, M)
        entropy = -(logs.exp() * logs).sum(2)
        weight = self.mu if self.current_epoch < self.early else 0.0
        terms = (self.alpha * behind * own - weight * ahead * entropy) * counted
        # Each device's part of a mean over all devices' samples, of which DDP takes the mean over devices.
        return (terms.sum(0) * device_count(self) / counts.clamp(min=1)).sum()

    def on_train_epoch_start(self) -> None:
        """New prototypes, from the first batches of the training data."""
        batches = self.trainer.num_training_batches
        part = 1 if math.isinf(batches) else max(1, int(batches) // PART)
        loader = cast(Iterable[MultimodalBatch], self.trainer.train_dataloader)
        training = self.training
        self.eval()
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # A loader draws when it starts: it shall not count.
            self.update(islice(loader, part))
        self.train(training)

    def update(self, batches: Iterable[MultimodalBatch]) -> None:
        """Move the prototypes towards the class means of some samples."""
        sums = torch.zeros((*self.seen.shape, self.setting.width + 1), device=self.seen.device)  # The last: how many.
        for given in batches:
            batch = given.to(self.seen.device)
            pooled, present = stacked(self.encode(batch))
            counted = F.pad(pooled.float(), (0, 1), value=1.0) * present[..., None]  # (B, M, D+1)
            sums.index_add_(1, batch.targets, counted.transpose(0, 1))
        sums = sum_over_devices(self, sums)
        counts = sums[..., -1:]
        kept = self.momentum * self.seen[..., None]  # A class's first prototype is not mixed with nothing.
        moved = kept * self.prototypes + (1 - kept) * sums[..., :-1] / counts.clamp(min=1)
        self.prototypes.copy_(torch.where(counts > 0, moved, self.prototypes))
        self.seen.copy_(torch.maximum(self.seen, (counts[..., 0] > 0).float()))


def coefficients(scores: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """How far each modality is behind the best and ahead of the worst, 0 to 1: (M,), bool (M,) -> (M,), (M,)."""
    tiny = torch.finfo(scores.dtype).tiny
    best, worst = scores.masked_fill(~known, 0).amax(), scores.masked_fill(~known, torch.inf).amin()
    behind = (best / scores.clamp(min=tiny) - 1).clamp(0, 1) * known
    ahead = (scores / worst.clamp(min=tiny) - 1).clamp(0, 1) * known
    return behind, ahead
