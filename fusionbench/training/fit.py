"""Training one model: fitted under a budget, its best epoch chosen on validation, the test set evaluated once."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.connectors import callback_connector
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fusionbench.core.errors import Diverged, UserError
from fusionbench.core.ranks import Ranks
from fusionbench.core.scores import rank as rank_of
from fusionbench.core.surroundings import alone
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.metrics.blocks import Blocks
from fusionbench.plan.budget import Budget
from fusionbench.training.group import GroupEnvironment, GroupStrategy
from fusionbench.training.predictions import gathered, predictions

WHY = {
    "multiclass": "some class has none of them, or all; rank by another score",
    "multilabel": "rank by another score",
    "regression": "a number to predict is the same in all of them; rank by rmse or mae",
}
"""Why a score may not be there."""
OnEpoch = Callable[[int, dict[str, float]], None]
"""Called after every epoch with its number (from 1), its validation scores and this device's mean training loss."""


@dataclass
class Fitted:
    """What training gave; the module itself holds the weights of the best epoch."""

    validation: dict[str, float]
    """The best epoch's validation scores, and `epoch`, its number from 1."""
    curves: dict[str, list[float]]
    epochs_run: int
    seconds: float


@dataclass
class Tested:
    """What the one evaluation on the test rows gave."""

    scores: dict[str, float]
    predictions: dict[str, NDArray[Any]]
    """As `training.predictions` says, over all test rows."""


def fit(module: FusionModule, data: MultimodalData, budget: Budget, on_epoch: OnEpoch) -> Fitted:
    """Train a module and leave it with the weights of its best epoch on validation.

    With the data shared out (`data.share_out`), together with the other processes of the group.

    Raises:
        Diverged: the training loss or a validation score left the finite numbers.
    """
    best = _KeepBest(module.task, budget.patience, on_epoch)
    trainer = trainer_for(budget, [best], data.ranks)
    started = time.perf_counter()
    with _attention(budget, data.ranks):
        trainer.fit(module, datamodule=data)
    seconds = time.perf_counter() - started
    module.load_state_dict(best.weights)
    return Fitted(best.scores, best.curves, len(next(iter(best.curves.values()))), seconds)


def evaluate(module: FusionModule, data: MultimodalData, budget: Budget) -> Tested:
    """Evaluate on the test rows: call it once per run. Of a group, the first process gets all predictions.

    Raises:
        Diverged: a test score is not finite.
    """
    collected = _Collect(module.task)
    trainer = trainer_for(budget, [collected], data.ranks)
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    joined = gathered(collected.parts, data.ranks)
    scores = {name: float(value) for name, value in found.items()}
    if not all(math.isfinite(value) for value in scores.values()):
        raise Diverged("a test score was not finite")
    return Tested(scores, joined)


def validate(module: FusionModule, data: MultimodalData, budget: Budget) -> dict[str, float]:
    """The validation scores of a module as it is; they may not be finite."""
    (found,) = trainer_for(budget, [], data.ranks).validate(module, datamodule=data, verbose=False)
    return {name: float(value) for name, value in found.items()}


def quiet() -> None:
    """Silence what Lightning prints for someone who trains one model by hand."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def trainer_for(budget: Budget, callbacks: list[Callback], ranks: Ranks) -> Trainer:
    """What trains, validates and tests: nothing printed, no checkpoint, the processes of a group together."""
    with alone(), _no_callbacks_of_others():  # Lightning takes what is not given here from variables PL_TRAINER_*.
        return _made(budget, callbacks, ranks)


@contextmanager
def _no_callbacks_of_others() -> Iterator[None]:
    """Lightning takes up callbacks that installed packages register, which would act in every run.

    It reads the lists of all installed packages for that, a tenth of what a run costs beyond its training.
    """
    with patch.object(callback_connector, "_load_external_callbacks", return_value=[]):
        yield


def _made(budget: Budget, callbacks: list[Callback], ranks: Ranks) -> Trainer:
    return Trainer(
        max_epochs=budget.epochs,
        accelerator="auto" if ranks.world_size == 1 or torch.cuda.is_available() else "cpu",  # What gloo is between.
        devices=ranks.local_world_size,
        num_nodes=ranks.world_size // ranks.local_world_size,
        strategy="auto" if ranks.world_size == 1 else GroupStrategy(ranks),
        # Else Lightning looks for a scheduler's variables.
        plugins=[GroupEnvironment(ranks)] if ranks.world_size == 1 else None,
        sync_batchnorm=ranks.world_size > 1 and torch.cuda.is_available(),  # PyTorch has none between processors.
        precision=budget.precision,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # Ours: Lightning's pads validation, and shuffles training on its own.
        deterministic="warn" if torch.cuda.is_available() else None,
    )


def _attention(budget: Budget, ranks: Ranks) -> AbstractContextManager[None]:
    """Fused attention on GPUs has its dropout drawn within the kernel, where it cannot be shared out."""
    fused = ranks.world_size > 1 and budget.dropout > 0 and torch.cuda.is_available()
    return sdpa_kernel(SDPBackend.MATH) if fused else nullcontext()


@dataclass(eq=False)
class _KeepBest(Callback):
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


@dataclass(eq=False)
class _Collect(Callback):
    """Keeps what is kept of every test batch, batch by batch: all logits of thousands of classes fill no memory."""

    task: TaskSpec
    parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """`test_step` gives the logits, or numbers."""
        found = predictions(outputs.cpu(), batch.targets.cpu(), batch.ids.cpu(), self.task)
        self.parts.append({name: self.blocks.keep(torch.from_numpy(x)).numpy() for name, x in found.items()})


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
