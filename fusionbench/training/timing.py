"""A few timed steps: what an epoch of a model costs, from some batches of it and some rows of validation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import EVALUATION_BATCH
from fusionbench.data.splits import Rows, Split
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.budget import Budget
from fusionbench.training.fit import trainer_for

STEPS, EPOCHS = 8, 3
"""Training batches of an epoch that is timed, and such epochs at most."""
ENOUGH_S = 1.0
"""No epoch is begun after so long."""


@dataclass
class Cost:
    """Seconds of an epoch over all rows, and of one row in validation."""

    epoch: float
    row: float


@dataclass(eq=False)
class _Clock(Callback):
    """Notes when steps, validations and epochs end; ends training when enough is known."""

    began: float = 0.0
    last: float = 0.0
    steps: list[list[float]] = field(default_factory=list)
    validations: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch begins."""
        self.began = self.last = _now()
        self.steps.append([])

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """From the end of the step before: reading the batch counts."""
        now = _now()
        self.steps[-1].append(now - self.last)
        self.last = now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What lies between the last step and this is the epoch's."""
        self.last = _now()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All of it."""
        self.validations.append(_now() - self.last)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What an epoch takes besides."""
        total = _now() - self.began
        self.others.append(max(0.0, total - sum(self.steps[-1]) - self.validations[-1]))
        trainer.should_stop = len(self.steps) >= EPOCHS or sum(map(sum, self.steps)) > ENOUGH_S


def cost_of(module: FusionModule, data: MultimodalData, budget: Budget, *, at_once: bool = False) -> Cost:
    """Train a model for a few steps, which moves its weights, and say what an epoch costs.

    Args:
        module: on any device.
        data: set up; has all its rows again afterwards.
        budget: of the run.
        at_once: whether it is solved for on all training rows, and makes no steps.
    """
    assert data.parts is not None
    whole, steps, clock = data.parts, len(data.train_order()), _Clock()
    with fewer_rows(data) as parts:
        trainer_for(replace(budget, patience=0), [clock], data.ranks).fit(module, datamodule=data)
    row = min(clock.validations) / len(parts.validation)
    validation = row * len(whole.validation)
    if at_once:
        solved = (sum(clock.steps[0]) + clock.others[0]) * len(whole.train) / len(parts.train)
        return Cost(solved + validation, row)
    # The first step of all warms up: memory, kernels.
    known = [one for number, of in enumerate(clock.steps) for one in of[number == 0 :]] or clock.steps[0]
    return Cost(steps * fmean(known) + validation + min(clock.others), row)


@contextmanager
def fewer_rows(data: MultimodalData) -> Iterator[Split]:
    """The data with a few batches of training rows, and as many of validation as one batch has; then as they were."""
    whole = data.parts
    assert whole is not None
    train = _some(whole.train, STEPS * data.batch_size)
    some = replace(whole, train=train, validation=_some(whole.validation, EVALUATION_BATCH))
    try:
        for one in layers(data):
            one.parts = some
        yield some
    finally:
        for one in layers(data):
            one.parts = whole


def layers(data: MultimodalData) -> Iterator[MultimodalData]:
    """The data, and what they see others as: encodings in the place of inputs, one modality of several."""
    while isinstance(data, MultimodalData):
        yield data
        data = getattr(data, "data", None)  # type: ignore[assignment]


def _some(rows: Rows, count: int) -> Rows:
    """So many of them, from all over: rows that lie together may be alike in length."""
    if len(rows) <= count:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), count, replace=False))]


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
