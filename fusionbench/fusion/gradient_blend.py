"""Gradient blending: the joint loss and each modality's own count as much as they generalise, and less if they overfit.

    L_0 = CE(MLP([x_1; ...; x_M]))        the joint loss, of the prediction; logits (B, C)
    L_m = CE(MLP_m(x_m))                  a modality's own loss, through a head that only training needs
    L   = sum_k w_k L_k                   k = 0 .. M; equal weights at first, 1/(M+1)

Losses are measured before the first epoch and then every `super_epoch` epochs, a fifth of the training unless said
otherwise. Each time the weights are estimated from what has become of every loss since the time before, T on the
training and V on the validation rows:

    G_k = V_k(then) - V_k(now)                              what it has generalised
    O_k = (V_k(now) - T_k(now)) - (V_k(then) - T_k(then))   how much more it overfits
    w_k = |G_k| / O_k^2, divided by their sum               for the next `super_epoch` epochs

Before the first epoch there is nothing to compare with, and T is V: nothing has been fitted to either. O_k^2 is at
least 1e-8, else a loss that overfits not at all would take all weight. A training has to be longer than `super_epoch`:
else no epoch would be trained by a weight that was estimated.

V comes from the validation loop that runs after every epoch: validation rows, which choose the best epoch as well,
never test rows, and no gradient ever comes from them. Without validation (`limit_val_batches=0`) the weights stay
equal. T is the mean over the epoch while it trains, with dropout. A Trainer without a number of epochs has super-epochs
of 10.

Parameters: (M*D+1)*W + (W+1)*C
In training: M*((D+1)*W + (W+1)*C)
FLOPs: 2*(M*D*W + W*C)
Source: Wang et al. 2020, "What Makes Training Multi-modal Classification Networks Hard?", arXiv:1905.12681 (online
G-Blend). The absolute value is that of the implementations in MultiBench and BalanceBenchmark; the length of a
super-epoch is ours.
Use: where a joint network overfits sooner than single modalities do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._devices import mean_over_devices
from fusionbench.fusion._objectives import JointAndOwnHeads, counted_means, loss_table
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least

LEAST_OVERFITTING = 1e-4
"""|O_k| is at least this."""
SUPER_EPOCHS = 5
"""Into so many a training is divided, unless said otherwise."""
ENDLESS = 10
"""The length of a super-epoch in epochs, where a training has no end that is counted in epochs."""


class GradientBlend(FusionModule):
    """Concatenation, with losses blended by their overfitting-to-generalisation ratios (online G-Blend)."""

    display = "G-Blend"
    family = "training"
    paper, stage, interaction, fidelity = "wang2020what", "training", "full", "adapted"
    departure = (
        "ratios are measured on the one model that trains, over the epochs before; the paper trains a copy for every "
        "loss alone, over the epochs to come. Training losses are means over a running epoch; held-out losses are "
        "those of the validation rows; our common MLP heads; a sample that lacks a modality does not count in its loss"
    )
    training_only = ("heads.own",)
    remembers = ("_estimated",)

    blend: Tensor
    """w, (1+M,): the joint loss first."""
    then: Tensor
    """(2, 1+M): training and validation losses when the weights were last estimated."""
    since: Tensor
    """How many epochs had been trained by then; -1: never yet."""

    def __init__(self, setting: Setting, *, super_epoch: int = 0) -> None:
        """`super_epoch` is the number of epochs from one estimate to the next; 0: a fifth of the training.

        Raises:
            UserError: it is negative, or as long as the whole training.
        """
        at_least("gradient_blend", "super_epoch", super_epoch, 0)
        if setting.epochs and super_epoch >= setting.epochs:
            raise UserError(
                f"strategy 'gradient_blend': super_epoch is {super_epoch}, and training ends after epoch "
                f"{setting.epochs}, before a weight that was estimated is used; take fewer, or more epochs"
            )
        super().__init__(setting)
        self.super_epoch, losses = super_epoch, 1 + len(setting.task.names)
        self.heads = JointAndOwnHeads(setting)
        self.register_buffer("blend", torch.full((losses,), 1 / losses))
        self.register_buffer("then", torch.zeros(2, losses))
        self.register_buffer("since", torch.tensor(-1))
        # Sums of losses, and of how many they are, (2, 1+M), in the epoch that runs.
        self._training: Tensor | None = None
        self._validation: Tensor | None = None
        self._estimated: tuple[int, list[float]] | None = None  # When last, and the weights.

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """A training of one epoch; no encoder that learns, so that the losses have nothing in common."""
        if setting.epochs == 1:
            return "it estimates its weights between epochs, and training ends after the first one here"
        if all(choice.is_frozen for choice in setting.encoders.values()):
            return "it weighs what losses do to encoders, and all encoders here are frozen: they stay as they are"
        return ""

    def notes(self) -> tuple[str, ...]:
        """The weights by which the end of the training went."""
        if self._estimated is None:
            return ()
        after, weights = self._estimated
        named = zip(("the joint loss", *self.task.names), weights, strict=True)
        said = ", ".join(f"{weight:.2g} for {name}" for name, weight in named)
        return (f"the last estimate of its losses' weights, after epoch {after}: {said}.",)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C); in training also each modality's own logits."""
        prediction: Prediction = self.heads(encoded, with_own=self.training)
        return prediction

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """All losses by their weights."""
        return self._blended(*loss_table(prediction, batch, self.task))

    def _blended(self, losses: Tensor, counted: Tensor) -> Tensor:
        # No product of matrices: autocast would take bfloat16 for that.
        return (self.blend * counted_means(self, losses, counted)).sum()

    def on_train_start(self) -> None:
        """Measure every loss on the validation rows."""
        loaders = self.trainer.val_dataloaders
        if loaders is None or int(self.since) >= 0:  # No validation; or a training that goes on.
            return
        limit = sum(self.trainer.num_val_batches)
        batches = None if math.isinf(limit) else int(limit)
        training, sums = self.training, None
        self.eval()
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # A loader draws when it starts: it shall not count.
            for given in islice(cast(Iterable[MultimodalBatch], loaders), batches):
                batch = given.to(self.device)
                if self.target_scale is not None:
                    batch.targets = self.target_scale.standardised(batch.targets)
                sums = summed(sums, *loss_table(self.heads(self.encode(batch), with_own=True), batch, self.task))
        self.train(training)
        if sums is not None:
            whole = mean_over_devices(self, sums)
            self._take_up(torch.stack([whole, whole]), 0)

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """The blended loss; every single one is summed up."""
        losses, counted = loss_table(self.predict(batch), batch, self.task)
        self._training = summed(self._training, losses, counted)
        return self.added_up(self._blended(losses, counted))

    def validation_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        """Update the validation scores, and sum up every loss."""
        prediction: Prediction = self.heads(self.encode(batch), with_own=True)
        self.validated(prediction.logits, batch)
        self._validation = summed(self._validation, *loss_table(prediction, batch, self.task))

    def on_validation_epoch_end(self) -> None:
        """Log the scores; after an epoch of training, take up its losses."""
        super().on_validation_epoch_end()
        training, self._training = self._training, None
        validation, self._validation = self._validation, None
        if training is not None and validation is not None:  # Not in a sanity check, nor by trainer.validate.
            sums = torch.stack([mean_over_devices(self, some) for some in (training, validation)])
            self._take_up(sums, self.current_epoch + 1)

    def _take_up(self, sums: Tensor, trained: int) -> None:
        """Estimate the weights anew if a super-epoch is over: (2, 2, 1+M), after so many epochs."""
        now, since = (sums[:, 0] / sums[:, 1].clamp(min=1e-6)), int(self.since)
        if since >= 0 and trained < since + self._interval():
            return
        if since >= 0:
            self.blend.copy_(blend_weights(self.then, now))
            self._estimated = trained, self.blend.tolist()
        self.then.copy_(now)
        self.since.fill_(trained)

    def _interval(self) -> int:
        """How many epochs lie between two estimates."""
        epochs = self.trainer.max_epochs or 0  # -1 of a training without an end.
        return self.super_epoch or (max(1, epochs // SUPER_EPOCHS) if epochs > 0 else ENDLESS)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss; what was summed up belongs to this epoch alone."""
        super().on_train_epoch_end()
        self._training = None


def summed(before: Tensor | None, losses: Tensor, counted: Tensor) -> Tensor:
    """Sums of the losses that count, and how many: (B, 1+M), bool (B, 1+M) -> (2, 1+M)."""
    found = torch.stack([(losses.detach() * counted).sum(0), counted.sum(0)])
    return found if before is None else before + found


def blend_weights(then: Tensor, now: Tensor) -> Tensor:
    """The weights by training and validation losses, (2, 1+M) each, of two epochs -> (1+M,), with the sum 1."""
    generalised = (then[1] - now[1]).abs()
    overfitted = (now[1] - now[0]) - (then[1] - then[0])
    weights = generalised / overfitted.abs().clamp(min=LEAST_OVERFITTING).square()
    total = weights.sum()
    # Nothing has changed at all: equal weights.
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(total.dtype).tiny), 1 / len(weights))
