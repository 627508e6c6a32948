"""What ensembles share: the mean of several models' class probabilities, as logits, or of their numbers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.task import TaskSpec
from fusionbench.fusion.blocks import present_mean


def mean_probability(logits: Tensor, counted: Tensor, task: TaskSpec) -> Tensor:
    """Logits whose probabilities are the mean of those of the models that count.

    Args:
        logits: (B, N, C) of N models.
        counted: bool (B, N).
        task: softmax of a multiclass task, sigmoid of each class of a multilabel one, numbers as they are.

    Returns:
        log mean p, of a multilabel task the logit of mean p, of a regression the mean, (B, C).
    """
    if task.kind == "regression":
        return present_mean(logits, counted)
    if task.kind == "multiclass":
        return _log_mean_exp(logits.log_softmax(-1), counted)
    # logit(mean p) = log mean p - log mean (1 - p), where neither p nor 1 - p is ever rounded to 0.
    return _log_mean_exp(F.logsigmoid(logits), counted) - _log_mean_exp(F.logsigmoid(-logits), counted)


def _log_mean_exp(values: Tensor, counted: Tensor) -> Tensor:
    """Logarithm of the mean over what counts of exp(values): (B, N, C), bool (B, N) -> (B, C)."""
    # The lowest number, not -inf: a sample of which nothing counts then gives equal finite logits.
    masked = values.masked_fill(~counted[..., None], torch.finfo(values.dtype).min)
    return masked.logsumexp(1) - counted.sum(1, keepdim=True).clamp(min=1).log()
