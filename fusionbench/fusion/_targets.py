"""Numbers to predict, standardised for what learns, and in the data's own unit for whoever reads them.

    t = (y - mean) / deviation      what losses compare outputs z with; mean and deviation of the training rows, (C,)
    y^ = mean + deviation * z       what a model says, and what scores compare with y

A strategy knows of none of it: it gives z, and the targets of batches that a Trainer trains or validates it with are t.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.data.base import MultimodalData
from fusionbench.data.targets import mean_and_deviation, scale_of


class TargetScale(nn.Module):
    """Mean and deviation of C numbers, part of a model's state; until training begins they are 0 and 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(numbers, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(numbers, dtype=torch.float64))

    def take(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        """Take mean and deviation, (C,) each; a number that never changes is only centred."""
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def standardised(self, targets: Tensor) -> Tensor:
        """As losses compare them, float32: (B, C)."""
        return ((targets.double() - self.mean) / self.deviation).float()

    def from_mean(self, outputs: Tensor) -> Tensor:
        """How far what standardised numbers say is from the mean, in the data's unit, float64: (B, C)."""
        return outputs.double() * self.deviation

    def told(self, outputs: Tensor) -> Tensor:
        """What standardised numbers say in the data's unit, float64: (B, C)."""
        return self.mean + self.from_mean(outputs)


class Standardising(Callback):
    """Gives a strategy standardised targets to train and to validate with; those that are tested stay as they are.

    A callback, since strategies have their own steps and their own start of training. A batch that reaches it was made
    for this step, when it was brought to the device: it may be changed.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the training targets: of our own data at the whole split, of other loaders at one pass over all."""
        data = getattr(trainer, "datamodule", None)
        _scale(pl_module).take(*(scale_of(data) if isinstance(data, MultimodalData) else _of_loader(trainer)))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Before the strategy sees it."""
        batch.targets = _scale(pl_module).standardised(batch.targets)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Before the strategy sees it."""
        batch.targets = _scale(pl_module).standardised(batch.targets)


def _scale(module: LightningModule) -> TargetScale:
    return cast(TargetScale, module.target_scale)


def _of_loader(trainer: Trainer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    batches = trainer.num_training_batches
    limit = None if np.isinf(batches) else int(batches)
    with torch.random.fork_rng(devices=[]):  # A loader draws when it starts: it shall not count.
        loader = cast(Iterable[MultimodalBatch], trainer.train_dataloader)
        own = torch.cat([batch.targets.cpu() for batch in islice(loader, limit)])
    if trainer.world_size == 1:
        return mean_and_deviation([own])
    parts: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(parts, own)
    return mean_and_deviation(parts)
