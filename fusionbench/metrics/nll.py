"""Negative log-likelihood per sample, in nats.

multiclass: mean over samples of -log softmax(logits)[target]
multilabel: mean over samples of the binary cross-entropy summed over classes
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionbench.metrics.sample_mean import SampleMean

AT_ONCE = 2**15
"""So many logits, 128 KiB, are scored at a time."""


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
    # A few rows at a time: what is computed in between stays in the processor's cache; new memory costs a third more.
    whole = logits.requires_grad or logits.is_cuda
    rows = max(1, len(logits) if whole else AT_ONCE // max(1, logits.shape[1]))
    targets = targets.to(logits.dtype)
    spans = [slice(start, start + rows) for start in range(0, max(1, len(logits)), rows)]
    parts = [F.binary_cross_entropy_with_logits(logits[at], targets[at], reduction="none").sum(1) for at in spans]
    return torch.cat(parts)
