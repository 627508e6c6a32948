"""Negative log-likelihood per sample, in nats.

multiclass: mean over samples of -log softmax(logits)[target]
multilabel: mean over samples of the binary cross-entropy summed over classes
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric


class NegativeLogLikelihood(Metric):
    """Streaming mean; exact on any number of processes."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self, *, multilabel: bool) -> None:
        super().__init__()
        self.multilabel = multilabel
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C); targets int64 (B,) or float (B, C)."""
        if self.multilabel:
            loss = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="sum")
        else:
            loss = F.cross_entropy(logits, targets, reduction="sum")
        self.total += loss.double()
        self.count += len(logits)

    def compute(self) -> Tensor:
        """The mean over all samples, float32."""
        return (self.total / self.count).float()
