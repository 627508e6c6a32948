"""Mean average precision over classes, in two forms that are not comparable and so are named apart.

    AP_c = 1/P_c * sum over the hits i in class c's list of P(i)     P_c: how many samples have class c

    map_top20  the list holds class c's entries among the 20 highest classes of every sample
    map_full   the list holds every sample; see map_full.py

Both means are over the classes that some sample has. map_top20 is the MAP that the official code prints since
2019-05-31; before, a class that no sample has counted as 0, which lowers it where a test set is small, so older
numbers are not comparable. Equal logits are one threshold, as in scikit-learn; the official code shuffles them.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py and
mean_average_precision_calculator.py.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from fusionbench.metrics.blocks import Blocks
from fusionbench.metrics.ranking import average_precision, gathered, top_classes


class MAPTopK(Metric):
    """Mean over the classes that occur of the AP within the samples' `top` highest. Keeps 9 * top bytes a sample.

    >>> metric = MAPTopK(classes=3, top=1)
    >>> metric.update(torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), torch.tensor([[1.0, 0, 0], [1.0, 0, 1.0]]))
    >>> float(metric.compute())  # AP of the classes: 1/2 (one of two found), none (no sample has it), 1
    0.75
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    scores: list[Tensor]
    hits: list[Tensor]
    owners: list[Tensor]
    positives: Tensor

    def __init__(self, classes: int, top: int = 20) -> None:
        super().__init__()
        self.top, self.blocks = top, Blocks()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("hits", [], dist_reduce_fx="cat")
        self.add_state("owners", [], dist_reduce_fx="cat")
        self.add_state("positives", torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones."""
        best = top_classes(logits, min(self.top, logits.shape[1]))
        self.scores.append(self.blocks.keep(logits.gather(1, best).float().flatten()))
        self.hits.append(self.blocks.keep((targets.gather(1, best) > 0).to(torch.uint8).flatten()))
        self.owners.append(self.blocks.keep(best.int().flatten()))
        self.positives += (targets > 0).sum(0)

    def compute(self) -> Tensor:
        """The mean over the classes that occur, float32; 0 if none does."""
        scores, hits = gathered(self.scores).cpu().numpy(), gathered(self.hits).cpu().numpy()
        owners, positives = gathered(self.owners).cpu().numpy(), self.positives.tolist()
        order = np.argsort(owners, kind="stable")
        borders = np.searchsorted(owners[order], np.arange(len(positives) + 1))
        lists = (order[a:b] for a, b in pairwise(borders))
        found = [average_precision(scores[i], hits[i], n) for i, n in zip(lists, positives, strict=True) if n]
        return _mean(found, self.positives)


def _mean(found: list[float], beside: Tensor) -> Tensor:
    """Of the classes that occur, on the device of another tensor; 0 if there are none."""
    return torch.tensor(np.mean(found) if found else 0.0, dtype=torch.float32, device=beside.device)
