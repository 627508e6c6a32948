"""Hit@1: the fraction of samples whose highest class is one of their labels.

A sample without labels is a miss, as in the official code. Of equal logits the lower class number is the highest.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class HitAtOne(Metric):
    """A streaming mean; exact on any number of processes.

    >>> hit = HitAtOne()
    >>> hit.update(torch.tensor([[3.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    >>> float(hit.compute())
    0.5
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones; a NaN logit makes the score NaN."""
        best = logits.max(1)
        hits = (targets.gather(1, best.indices[:, None])[:, 0] > 0).double()
        self.total += torch.where(best.values.isnan(), torch.nan, hits).sum()
        self.count += len(logits)

    def compute(self) -> Tensor:
        """The mean over all samples, float32."""
        return (self.total / self.count).float()
