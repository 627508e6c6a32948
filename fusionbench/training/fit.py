"""Training one model: fitted under a budget, its best epoch chosen on validation, the test set evaluated once."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.trainer.connectors import callback_connector
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from fusionbench.core.errors import Diverged
from fusionbench.core.ranks import Ranks
from fusionbench.core.surroundings import alone
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.metrics.blocks import Blocks
from fusionbench.plan.budget import Budget
from fusionbench.training.best import KeepBest, OnEpoch
from fusionbench.training.checkpoint import Border, Checkpoint, fit_from
from fusionbench.training.group import GroupEnvironment, GroupStrategy
from fusionbench.training.predictions import gathered, predictions

__all__ = ["Fitted", "OnEpoch", "Tested", "evaluate", "fit", "quiet", "trainer_for", "validate"]


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


def fit(
    module: FusionModule,
    data: MultimodalData,
    budget: Budget,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Train a module and leave it with the weights of its best epoch on validation.

    With the data shared out (`data.share_out`), together with the other processes of the group.

    Args:
        module: to train.
        data: to train and validate on.
        budget: for how long, and how.
        on_epoch: hears of every epoch.
        checkpoint: where it goes on from if it was stopped, and keeps its state in case it is; None: nowhere.

    Raises:
        Diverged: the training loss or a validation score left the finite numbers.
        UnusableCheckpoint: what was kept does not fit; the module is of no use any more.
    """
    best = KeepBest(module.task, budget.patience, on_epoch)
    kept = checkpoint or Checkpoint.never()
    border = Border(kept, data)
    trainer = trainer_for(budget, [best, border], data.ranks, border.file)
    with _attention(budget, data.ranks):
        fit_from(trainer, module, data, border, kept.content(data.ranks.world_size))
    module.load_state_dict(best.weights)
    return Fitted(best.scores, best.curves, len(next(iter(best.curves.values()))), border.seconds)


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


def trainer_for(budget: Budget, callbacks: list[Callback], ranks: Ranks, file: CheckpointIO | None = None) -> Trainer:
    """What trains, validates and tests, nothing printed, the processes of a group together; `file` keeps its state."""
    with alone(), _no_callbacks_of_others():  # Lightning takes what is not given here from variables PL_TRAINER_*.
        return _made(budget, callbacks, ranks, file)


@contextmanager
def _no_callbacks_of_others() -> Iterator[None]:
    """Lightning takes up callbacks that installed packages register, which would act in every run.

    It reads the lists of all installed packages for that, a tenth of what a run costs beyond its training.
    """
    with patch.object(callback_connector, "_load_external_callbacks", return_value=[]):
        yield


def _made(budget: Budget, callbacks: list[Callback], ranks: Ranks, file: CheckpointIO | None) -> Trainer:
    # Without it Lightning looks for a scheduler's variables.
    environment = [GroupEnvironment(ranks)] if ranks.world_size == 1 else []
    return Trainer(
        max_epochs=budget.epochs,
        accelerator="auto" if ranks.world_size == 1 or torch.cuda.is_available() else "cpu",  # What gloo is between.
        devices=ranks.local_world_size,
        num_nodes=ranks.world_size // ranks.local_world_size,
        strategy="auto" if ranks.world_size == 1 else GroupStrategy(ranks),
        plugins=[*environment, *([file] if file else [])],
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
