"""Hit@1: the fraction of samples whose highest class is one of their labels.

A sample without labels is a miss, as in the official code. Of equal logits the lower class number is the highest.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.metrics.sample_mean import SampleMean


class HitAtOne(SampleMean):
    """A streaming mean; exact on any number of processes.

    >>> hit = HitAtOne()
    >>> hit.update(torch.tensor([[3.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    >>> float(hit.compute())
    0.5
    """

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones; a NaN logit makes the score NaN."""
        best = logits.max(1)
        hits = (targets.gather(1, best.indices[:, None])[:, 0] > 0).double()
        self.add(torch.where(best.values.isnan(), torch.nan, hits))
