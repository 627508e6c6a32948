"""Negative log-likelihood per sample, in nats.

multiclass: mean over samples of -log softmax(logits)[target]
multilabel: mean over samples of the binary cross-entropy summed over classes
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fusionbench.metrics.sample_mean import SampleMean


class NegativeLogLikelihood(SampleMean):
    """A streaming mean."""

    is_differentiable = True
    higher_is_better = False

    def __init__(self, *, multilabel: bool) -> None:
        super().__init__()
        self.multilabel = multilabel

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C); targets int64 (B,) or float (B, C)."""
        self.add(sample_nll(logits, targets) if self.multilabel else F.cross_entropy(logits, targets, reduction="none"))


def sample_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """The binary cross-entropy of each sample, summed over classes: (B, C) both -> (B,)."""
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").sum(1)
