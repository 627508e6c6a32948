"""Targets that are numbers: their form in memory, and what they are standardised by: of training rows alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.errors import UserError
from fusionbench.core.scores import SCORES
from fusionbench.core.task import TaskKind
from fusionbench.data.orders import InOrder
from fusionbench.data.store import Array

if TYPE_CHECKING:
    from fusionbench.data.base import MultimodalData

Floats = NDArray[np.float64]


def in_memory(targets: Array, kind: TaskKind) -> Tensor:
    """Targets as batches have them: those of a regression in float64, (n,) -> (n, 1), all others as they are."""
    found = np.array(targets)
    if kind == "regression":
        found = found.astype(np.float64).reshape(len(found), -1)
    return torch.from_numpy(found)


def scale_of(data: MultimodalData) -> tuple[Floats, Floats]:
    """Mean and deviation of each number to predict over the training rows, (C,) each.

    Raises:
        UserError: a number is the same in all of them: there is nothing to learn.
    """
    assert data.parts is not None
    mean, deviation = mean_and_deviation(data.labels(some).targets for some in InOrder(data.parts.train))
    for number in np.flatnonzero(deviation == 0):
        which = f"number {number} of the targets" if len(deviation) > 1 else "the target"
        raise UserError(f"{data.name}: {which} is the same in all training rows; there is nothing to learn")
    return mean, deviation


def refuse_constant(data: MultimodalData) -> None:
    """Raises UserError as `scale_of` does, where numbers to predict are in memory; else it costs a pass: later."""
    if data.task.kind == "regression" and "targets" in data.tensors:
        scale_of(data)


def refuse_undefined(data: MultimodalData) -> None:
    """Raises UserError if the score that ranks has no value on the validation or on the test rows: before training."""
    assert data.parts is not None
    task = data.asked
    if task.metric not in ("auroc", "r2", "pearson", "spearman"):
        return
    for part, rows in {"validation": data.parts.validation, "test": data.parts.test}.items():
        targets = torch.cat([data.labels(some).targets for some in InOrder(rows)])
        if task.kind == "regression":
            lacking = "a number to predict is the same in all of them" if (targets == targets[0]).all(0).any() else ""
        else:
            counts = targets.bincount(minlength=task.classes)
            wrong = ((counts == 0) | (counts == len(targets))).nonzero()
            lacking = f"class {int(wrong[0])} has none of them, or all" if len(wrong) else ""
        if lacking:
            raise UserError(
                f"{data.name}: {SCORES[task.metric].title}, which ranks, is not defined on the {len(targets)} {part} "
                f"rows: {lacking}; name another `metric` in the suite"
            )


def mean_and_deviation(parts: Iterable[Tensor]) -> tuple[Floats, Floats]:
    """Of each number over all rows, the deviation with n in the denominator: parts (k, C) -> (C,), (C,).

    The deviation of numbers that are all the same is exactly 0, where rounding of their mean would leave some.
    """
    values = np.concatenate([part.detach().cpu().double().numpy() for part in parts])
    deviation = np.where(values.min(0) == values.max(0), 0.0, values.std(0))
    return np.asarray(values.mean(0)), np.asarray(deviation)
