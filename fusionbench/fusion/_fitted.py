"""What strategies share that are fitted at once on the encodings of the training rows, without steps of an optimiser.

Their fact is `fitted`. When training starts they take in what frozen encoders give of all batches of an epoch and of
all validation rows, and are solved for; training ends after that epoch, whose loss is that of the solution. One device
does it, whatever their number (`training.group.can_be_shared`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.scores import rank
from fusionbench.core.task import TaskSpec
from fusionbench.fusion._logistic import Floats, Labels, Rank, Solution, accuracy_then_nll
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.blocks import stacked
from fusionbench.metrics.scores import computed, score_metrics


def not_fitted_here(setting: Setting, what: str) -> str:
    """Why it cannot be used: an encoder that learns, or several labels a sample; empty if it can."""
    learning = [name for name, choice in setting.encoders.items() if not choice.is_frozen]
    if learning:
        return f"{what} is fitted once, on encodings that stay; here the encoders of {', '.join(learning)} learn"
    if setting.task.kind == "multilabel":
        return f"{what} is fitted for one true class a sample, and here a sample may have several"
    return ""


@dataclass(frozen=True)
class Known:
    """What encoders give of N rows, in the order of their ids."""

    pooled: NDArray[np.float32]
    """(N, M, D), zeros where absent."""
    present: NDArray[np.bool_]
    """(N, M)."""
    targets: NDArray[np.int64]
    """(N,)."""


def known(module: FusionModule) -> tuple[Known, Known]:
    """What the encoders give of the training batches of an epoch, and of the validation rows, which may be none."""
    trainer, training = module.trainer, module.training
    module.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # A loader draws when it starts: it shall not count.
        train = _taken_in(module, trainer.train_dataloader, trainer.num_training_batches)
        validation = _taken_in(module, trainer.val_dataloaders or (), sum(trainer.num_val_batches))
    module.train(training)
    return train, validation


def _taken_in(module: FusionModule, loader: Any, batches: float) -> Known:
    parts, width = len(module.task.names), module.setting.width
    none = np.zeros((0, parts, width), np.float32), np.zeros((0, parts), bool), *(np.zeros(0, np.int64) for _ in "ti")
    found: list[tuple[NDArray[Any], ...]] = [none]
    for given in islice(cast(Iterable[MultimodalBatch], loader), None if math.isinf(batches) else int(batches)):
        batch = given.to(module.device)
        pooled, present = stacked(module.encode(batch))
        found.append(tuple(x.cpu().numpy() for x in (pooled.float(), present, batch.targets, batch.ids)))
    *rows, ids = (np.concatenate(part) for part in zip(*found, strict=True))
    order = ids.argsort(kind="stable")  # What is fitted depends on the rows, not on the order in which they came.
    return Known(*(part[order] for part in rows))


class Standardised(nn.Module):
    """Each unit with mean 0 and deviation 1 over the training rows that have its modality; zero where it is absent."""

    mean: Tensor
    scale: Tensor

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(modalities, width))
        self.register_buffer("scale", torch.ones(modalities, width))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """(B, M, D), bool (B, M) -> (B, M, D)."""
        return (x.float() - self.mean) / self.scale * present[..., None]

    @torch.no_grad()
    def fit(self, x: NDArray[Any], present: NDArray[np.bool_]) -> None:
        """Take mean and deviation over training rows, (N, M, D) and bool (N, M); a unit that never moves is centred."""
        for number, here in enumerate(present.T):
            rows = x[here, number].astype(np.float64)
            if len(rows):
                deviation = rows.std(0)
                self.mean[number] = torch.from_numpy(rows.mean(0))
                self.scale[number] = torch.from_numpy(np.where(deviation > 1e-6, deviation, 1.0))

    @torch.no_grad()
    def of(self, x: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """As `forward`, of arrays."""
        given = (torch.from_numpy(value).to(self.mean.device) for value in (x, present))
        return cast(NDArray[np.float32], self(*given).cpu().numpy())

    def side_by_side(self, x: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """All modalities of a row in one: (N, M, D), bool (N, M) -> (N, M*D)."""
        return self.of(x, present).reshape(len(x), self.mean.numel())  # Of no rows, -1 would not be known.


def fitted_linear(inputs: int, classes: int) -> nn.Linear:
    """Linear(inputs, C) that no optimiser moves: (inputs+1)*C parameters."""
    return nn.Linear(inputs, classes).requires_grad_(False)


def ranked_by(task: TaskSpec) -> Callable[[Floats, Labels], Rank]:
    """What solutions are compared by on validation: the task's metric, then NLL."""
    if task.metric == "accuracy":
        return accuracy_then_nll

    def ranked(logits: Floats, targets: Labels) -> Rank:
        scores = score_metrics(task, only=task.metric)
        scores.update(torch.from_numpy(logits), torch.from_numpy(targets))
        found = {f"validation/{name}": float(value) for name, value in computed(scores).items()}
        # Where it is not defined on these rows none is better, and training says so after its epoch.
        return rank({f"validation/{task.metric}": 0.0, **found}, task.metric)

    return ranked


@torch.no_grad()
def put_into(layer: nn.Linear, solution: Solution) -> None:
    """Make a layer's weights those of a solution."""
    layer.weight.copy_(torch.from_numpy(solution.weight))
    layer.bias.copy_(torch.from_numpy(solution.bias))
