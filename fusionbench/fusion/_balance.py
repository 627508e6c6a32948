"""What strategies share that watch how well each modality does while they train, on however many devices."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.fusion.base import Setting


def frozen_encoders(setting: Setting, what: str) -> str:
    """Why a strategy that trains encoders otherwise is of no use where they are not trained; empty if they are."""
    if any(choice.is_frozen for choice in setting.encoders.values()):
        return f"{what}, and here encoders are frozen: they stay as they are"
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


class ModulatedSteps:
    """Multiplies what a step of the optimiser changes in some parameters: a learning rate of their own for that step.

        p <- p_before + factor (p_after - p_before) + e,   e ~ N(0, std(p_after - p_before)^2) if there is noise

    Under plain SGD this is to multiply the gradient by the factor and to add noise of its deviation. Under Adam, which
    divides by the gradients' own size and so evens steady factors of theirs out, it still is a factor of the step.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        self._noise = False

    def before(self, parts: Iterable[tuple[Iterable[nn.Parameter], Tensor]], noise: bool = False) -> None:
        """Keep parameters as they are just before a step, in parts of one factor; those without a gradient stay."""
        moved = [(one, factor) for parameters, factor in parts for one in parameters if one.grad is not None]
        self._kept = [(parameter, parameter.detach().clone(), factor) for parameter, factor in moved]
        self._noise = noise

    @torch.no_grad()
    def after(self, optimiser: Optimizer, *_: object) -> None:
        """What an optimiser calls once it has stepped (`register_step_post_hook`)."""
        kept, self._kept = self._kept, []
        for parameter, before, factor in kept:
            moved = parameter - before
            parameter.copy_(before.lerp(parameter, factor.to(parameter.dtype)))
            if self._noise and moved.numel() > 1:  # The deviation of one number is none.
                # The generator is in the same state on all devices: draws in a step are the same everywhere. A true
                # gradient of 0 has no variance: e.g. embeddings of words that are not in the batch are left alone.
                parameter.add_(torch.randn_like(moved) * moved.std() * (parameter.grad != 0))
