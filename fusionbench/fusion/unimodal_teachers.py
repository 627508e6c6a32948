"""UMT: a joint network whose encoders also have to give what teachers of one modality each give, trained before it.

    first, in `share` of all steps, a teacher of each modality, by its own loss alone:
        t_m  = teacher encoder m of x_m, as its head reads it          (B, D)
        loss = sum_m CE(MLP_m(t_m))

    then, in all other steps, the network that predicts; teachers stay as they are:
        f_m  = LN(x_m)                                                 as its head reads it, (B, D)
        y    = MLP([f_1; ...; f_M])                                    logits, (B, M*D) -> (B, C)
        loss = CE(y) + weight * sum_m mean |f_m - t_m|^2 / D           mean over the samples that have the modality

Teachers have encoders of the same kind, other initial weights, and see the same training rows, never validation or test
rows. They are part of the run and of its budget: of 20 epochs, 10 are theirs by default, and the network that predicts
is trained in 10. Each part has a warm-up and a decay of its own. A step of theirs costs what one of the joint network
does, and a step after that one pass of the teachers more. No epoch of theirs can be the best one, and patience begins
after them.

Parameters: (M*D+1)*W + (W+1)*C
In training: M*(E + (D+1)*W + (W+1)*C)
FLOPs: 2*(M*D*W + W*C)
Source: Du et al. 2021, "Improving Multi-Modal Learning with Uni-Modal Teachers", arXiv:2106.11059, and Du et al. 2023,
"On Uni-Modal Feature Learning in Supervised Multi-Modal Learning", arXiv:2305.01233; the loss and its weight of 10 as
in others' code, GeWu-Lab/BalanceBenchmark, balancemm/trainer/UMT_trainer.py. The authors' code was not found.
Use: where a joint network learns less of a modality than the modality alone would, and training may cost more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._balance import frozen_encoders, not_negative
from fusionbench.fusion._objectives import counted_means
from fusionbench.fusion._stages import given, without_absent
from fusionbench.fusion.base import FusionModule, Prediction, Setting, learning_rate_factor, sample_losses
from fusionbench.fusion.blocks import HeadNorm, mlp_head, stacked


class UnimodalTeachers(FusionModule):
    """Concatenation, with encoders drawn towards those of teachers that were trained on one modality each (UMT)."""

    display = "UMT"
    family, trains_encoders = "training", True
    paper, stage, interaction, fidelity = "du2021improving", "training", "full", "adapted"
    tunable = {"weight": (1.0, 100.0, "log"), "share": (0.25, 0.75)}
    departure = (
        "teachers are trained in the first part of the run's own budget, not to their end beforehand; features are "
        "compared as heads read them, normalised; our common MLP head; any modality may be missing"
    )
    training_only = ("teachers",)

    def __init__(self, setting: Setting, *, weight: float = 10.0, share: float = 0.5) -> None:
        """`weight` of the distance to the teachers' features; `share` of all steps that trains the teachers.

        Raises:
            UserError: `weight` is negative, or `share` not between 0 and 1.
        """
        not_negative("unimodal_teachers", "weight", weight)
        if not 0 < share < 1:
            raise UserError(f"strategy 'unimodal_teachers': share is {share}; it must be above 0 and below 1")
        super().__init__(setting)
        self.weight, self.share, self.teacher_steps = weight, share, 0
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)
        self.as_read = HeadNorm([setting.width], setting)
        self.teachers = nn.ModuleDict({name: self._teacher(name) for name in setting.task.names})

    def _teacher(self, name: str) -> nn.ModuleDict:
        encoder = self._encoder(self.task.modality(name), self.setting.encoders[name], "teacher")
        return nn.ModuleDict({"encoder": encoder, "head": mlp_head(self.setting.width, self.setting)})

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Encoders that are not trained."""
        return frozen_encoders(setting, "it trains encoders towards those of teachers")

    def notes(self) -> tuple[str, ...]:
        """What the teachers took of the budget."""
        return (f"the first {self.share:.0%} of all steps trained its teachers, which no prediction needs",)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        pooled, _ = stacked(encoded)
        return Prediction(self.head(pooled.flatten(1)))

    def predict(self, batch: MultimodalBatch) -> Prediction:
        """Encode, then fuse; in training with the distance to the teachers as penalty."""
        encoded = self.encode(batch)
        prediction = self.fuse(encoded)
        return replace(prediction, penalty=self.weight * self.distance(encoded, batch)) if self.training else prediction

    def distance(self, encoded: dict[str, Encoded], batch: MultimodalBatch) -> Tensor:
        """The sum over modalities of the mean squared distance of their features to the teachers'."""
        with torch.no_grad():
            goals, present = stacked(self.taught(batch))
        own, _ = stacked(encoded)
        apart = (self.as_read(own).float() - self.as_read(goals).float()).square().mean(-1)  # (B, M)
        return counted_means(self, apart, present).sum()

    def taught(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """Each modality by its teacher's encoder."""
        parts = cast(dict[str, nn.ModuleDict], self.teachers)
        return {name: without_absent(parts[name]["encoder"](*given(name, batch))) for name in self.task.names}

    def teachers_loss(self, batch: MultimodalBatch) -> Tensor:
        """The sum of the teachers' own losses, each a mean over the samples that have its modality."""
        parts, encoded = cast(dict[str, nn.ModuleDict], self.teachers), self.taught(batch)
        own = [sample_losses(parts[m]["head"](one.pooled), batch.targets, self.task) for m, one in encoded.items()]
        _, present = stacked(encoded)
        return counted_means(self, torch.stack(own, 1), present).sum()

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """The teachers' loss first, then that of the network that predicts."""
        if self.trainer.global_step < self.teacher_steps:
            return self.added_up(self.teachers_loss(batch))
        self.teachers.eval()  # No dropout in what is to be learned from.
        return super().training_step(batch, batch_index)

    def is_preparing(self) -> bool:
        """Whether only teachers have been trained so far."""
        return self.trainer.global_step <= self.teacher_steps

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The common optimiser, its schedule run through twice: for the teachers, and for what predicts."""
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps) or steps < 1:
            raise UserError(
                "strategy 'unimodal_teachers': its teachers take a share of all steps, and here training has no end; "
                "set max_epochs or max_steps"
            )
        first = self.teacher_steps = min(max(1, round(self.share * steps)), int(steps) - 1)

        def factor(step: int) -> float:
            done = 0 if step < first else first
            return learning_rate_factor(step - done, first if step < first else int(steps) - first)

        found = cast(dict[str, Any], super().configure_optimizers())
        found["lr_scheduler"]["scheduler"] = torch.optim.lr_scheduler.LambdaLR(found["optimizer"], factor)
        return cast(OptimizerLRScheduler, found)
