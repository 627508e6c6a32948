"""PERR, precision at equal recall rate: how many of a sample's n highest classes are right, n being its labels' number.

    PERR = mean over samples with labels of #{labels among the n highest classes} / n

A sample without labels is left out, where the official code counts it as 0: YouTube-8M has none such, and a sample
in which nothing is to be found says nothing of a model. Of equal logits the lower class number is the higher.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.metrics.ranking import top_classes
from fusionbench.metrics.sample_mean import SampleMean


class PERR(SampleMean):
    """A streaming mean; exact on any number of processes.

    >>> perr = PERR()
    >>> perr.update(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0]]))
    >>> float(perr.compute())
    0.5
    """

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones; a NaN logit makes the score NaN."""
        self.add(sample_perr(logits, targets)[(targets > 0).any(1)])


def sample_perr(logits: Tensor, targets: Tensor) -> Tensor:
    """Each sample's precision, NaN without labels or of a NaN logit: (B, C) both -> float64 (B,)."""
    labels = (targets > 0).sum(1)  # (B,)
    best = top_classes(logits, max(1, int(labels.max())))  # (B, n of the sample with most labels)
    counted = torch.arange(best.shape[1], device=best.device) < labels[:, None]
    right = ((targets.gather(1, best) > 0) & counted).sum(1)
    precision: Tensor = torch.where(logits.gather(1, best[:, :1])[:, 0].isnan(), torch.nan, right / labels.double())
    return precision
