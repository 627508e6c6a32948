"""PERR, precision at equal recall rate: how many of a sample's n highest classes are right, n being its labels' number.

    PERR = mean over samples with labels of #{labels among the n highest classes} / n

A sample without labels is left out. Of equal logits the lower class number is the higher.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fusionbench.metrics.ranking import top_classes


class PERR(Metric):
    """A streaming mean; exact on any number of processes.

    >>> perr = PERR()
    >>> perr.update(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0]]))
    >>> float(perr.compute())
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
        labels = (targets > 0).sum(1)  # (B,)
        best = top_classes(logits, max(1, int(labels.max())))  # (B, n of the sample with most labels)
        counted = torch.arange(best.shape[1], device=best.device) < labels[:, None]
        right = ((targets.gather(1, best) > 0) & counted).sum(1)
        precision = torch.where(logits.gather(1, best[:, :1])[:, 0].isnan(), torch.nan, right / labels.double())
        self.total += precision[labels > 0].sum()
        self.count += (labels > 0).sum()

    def compute(self) -> Tensor:
        """The mean over the samples with labels, float32; 0 if there are none."""
        return (self.total / self.count.clamp(min=1)).float()
