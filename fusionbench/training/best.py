"""The best epoch of a training by validation, and the curves of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fusionbench.core.errors import Diverged, UserError
from fusionbench.core.scores import rank as rank_of
from fusionbench.core.task import TaskSpec
from fusionbench.fusion.base import FusionModule

WHY = {
    "multiclass": "some class has none of them, or all; rank by another score",
    "multilabel": "rank by another score",
    "regression": "a number to predict is the same in all of them; rank by rmse or mae",
}
"""Why a score may not be there."""
OnEpoch = Callable[[int, dict[str, float]], None]
"""Called after every epoch with its number (from 1), its validation scores and this device's mean training loss."""


@dataclass(eq=False)
class KeepBest(Callback):
    """Keeps the weights of the best epoch in memory; ties go to the lower NLL or RMSE, then to the earlier epoch."""

    task: TaskSpec
    patience: int
    on_epoch: OnEpoch
    weights: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    rank: tuple[float, float] = (-math.inf, -math.inf)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare this epoch with the best so far."""
        found = _floats(trainer, "validation/")
        epoch = trainer.current_epoch + 1
        if f"validation/{self.task.metric}" not in found:
            raise UserError(f"{self.task.metric} is not defined on these validation rows; {WHY[self.task.kind]}")
        if not all(math.isfinite(value) for value in found.values()):
            raise Diverged(f"a validation score was not finite after epoch {epoch}")
        if not (isinstance(pl_module, FusionModule) and pl_module.is_preparing()):
            self._compare(epoch, found, trainer, pl_module)
        self._extend(found)
        loss = pl_module.loss_so_far if isinstance(pl_module, FusionModule) else None
        self.on_epoch(epoch, found if loss is None else {**found, "train/loss": loss})

    def _compare(self, epoch: int, found: dict[str, float], trainer: Trainer, pl_module: LightningModule) -> None:
        rank = rank_of(found, self.task.metric)
        if rank > self.rank:
            self.rank, self.scores = rank, {**found, "epoch": float(epoch)}
            self.weights = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}
        elif self.patience and epoch - self.scores["epoch"] >= self.patience:
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the loss of the epoch before: Lightning logs it after the callbacks' own epoch end."""
        self._take_loss(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the last epoch's loss."""
        self._take_loss(trainer)

    def _take_loss(self, trainer: Trainer) -> None:
        loss = _floats(trainer, "train/")
        if not all(math.isfinite(value) for value in loss.values()):
            raise Diverged(f"the training loss was not finite in epoch {trainer.current_epoch}")
        self._extend(loss)

    def _extend(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"weights": self.weights, "scores": self.scores, "curves": self.curves, "rank": list(self.rank)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse."""
        self.weights, self.scores = dict(state_dict["weights"]), dict(state_dict["scores"])
        self.curves = {name: list(values) for name, values in state_dict["curves"].items()}
        self.rank = float(state_dict["rank"][0]), float(state_dict["rank"][1])


def _floats(trainer: Trainer, prefix: str) -> dict[str, float]:
    """What was logged, alike on all devices: so that all stop, or diverge, at the same epoch."""
    found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
    if trainer.world_size == 1 or not found:
        return found
    # float64: the mean of what is the same on all devices is that number again, to the last bit.
    own = torch.tensor(list(found.values()), dtype=torch.float64, device=trainer.strategy.root_device)
    mean = trainer.strategy.reduce(own, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return dict(zip(found, mean.tolist(), strict=True))
