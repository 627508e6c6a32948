"""Chance: the frequencies or the mean of the training targets, whatever the input; below it nothing was learned.

    multiclass: y_c = log((n_c + 1) / (N + C))          log of the smoothed prior, (B, C), the same for every sample
    multilabel: y_c = log((n_c + 1) / (N - n_c + 1))    its logit
    regression: y_c = 0                                 of standardised targets: the training rows' mean

n_c counts class c among the N training samples of one epoch (Laplace's rule of succession); before any training, all
classes are equally likely.

Parameters: 0
FLOPs: 0
Source: none.
Use: always: a row that is no better has learned nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class Chance(FusionModule):
    """Predict the class priors, or the mean; nothing is optimised."""

    display = "Chance"
    family = "baseline"
    stage, representation, interaction, uses = "decision", "single", "none", "none"

    counts: Tensor
    samples: Tensor

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.automatic_optimization = False
        self.register_buffer("counts", torch.zeros(setting.task.classes, dtype=torch.int64))
        self.register_buffer("samples", torch.zeros((), dtype=torch.int64))

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """B samples of which nothing is seen: an encoding of width 0."""
        first = next(iter(batch.present.values()))
        unseen = torch.zeros(first.shape[0], 1, dtype=torch.bool, device=first.device)
        nothing = torch.zeros(first.shape[0], 0, device=first.device)
        return {"nothing": Encoded(nothing, nothing[:, None], unseen, unseen[:, 0])}

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(C,) -> (B, C)."""
        return Prediction(self.prior().expand(encoded["nothing"].pooled.shape[0], -1))

    def prior(self) -> Tensor:
        """What is said of every sample, (C,)."""
        hits = (self.counts + 1).float()
        if self.task.kind == "regression":
            return torch.zeros_like(hits)
        return (hits / (hits.sum() if self.task.kind == "multiclass" else self.samples - self.counts + 1)).log()

    def count(self, targets: Tensor) -> None:
        """Add the targets of some samples: int64 (B,), or zeros and ones (B, C); of numbers nothing is counted."""
        if self.task.kind == "regression":
            return
        multiclass = self.task.kind == "multiclass"
        self.counts += targets.bincount(minlength=self.task.classes) if multiclass else targets.sum(0).long()
        self.samples += len(targets)

    def on_train_epoch_start(self) -> None:
        """Count anew: an epoch shows every training sample once."""
        self.counts.zero_()
        self.samples.zero_()

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """Count the targets; gives the loss of what is known so far."""
        self.count(batch.targets)
        return super().training_step(batch, batch_index)

    def configure_optimizers(self) -> None:
        """None: there is nothing to optimise."""
