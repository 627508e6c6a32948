"""What strategies share that watch how well each modality does while they train, on however many devices."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.fusion.base import Setting


def frozen_encoders(setting: Setting, what: str) -> str:
    """Why a strategy that trains encoders otherwise is of no use where they are not trained; empty if they are."""
    if any(choice.pretrain for choice in setting.encoders.values()):
        return f"{what}, and here encoders are trained beforehand and stay as they are"
    return ""


def not_negative(strategy: str, option: str, value: float) -> None:
    """Refuse an option below 0.

    Raises:
        UserError: it is, or is not finite.
    """
    if not 0 <= value < float("inf"):
        raise UserError(f"strategy '{strategy}': {option} is {value}; it must be a finite number from 0 on")


def true_probability(logits: Tensor, targets: Tensor, task: TaskSpec) -> tuple[Tensor, Tensor]:
    """The probability of the true class by each modality's own logits, and which samples have one.

    Of a multilabel task, the mean over a sample's labels of their probabilities; some samples have no label.

    Args:
        logits: (B, M, C).
        targets: int64 (B,) for multiclass, float (B, C) for multilabel.
        task: says which of the two it is.

    Returns:
        (B, M), and bool (B,).
    """
    if task.kind == "multiclass":
        right = targets[:, None, None].expand(-1, logits.shape[1], 1)
        return logits.float().softmax(-1).gather(2, right).squeeze(2), torch.ones_like(targets, dtype=torch.bool)
    labels = targets.sum(1)
    right_ones = (logits.float().sigmoid() * targets[:, None]).sum(2)
    return right_ones / labels.clamp(min=1)[:, None], labels > 0


def sums_and_counts(values: Tensor, counted: Tensor) -> Tensor:
    """By modality, the sum of the values that count and their number: (B, M), bool (B, M) -> (2, M)."""
    return torch.stack([(values * counted).sum(0), counted.sum(0).to(values.dtype)])
