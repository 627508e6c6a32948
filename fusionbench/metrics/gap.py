"""Global average precision: YouTube-8M's own score, which ranks the guesses for all videos in one list.

    pool the `top` highest classes of every sample; sort them by logit
    GAP = 1/P * sum over the pool's hits i of P(i)    P(i): precision of the pool down to i; P: all positives there are

Equal logits are one threshold (the official code shuffles them), so neither batches nor processes change the value.

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; google/youtube-8m, eval_util.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fusionbench.metrics.blocks import Blocks
from fusionbench.metrics.ranking import average_precision, gathered, top_classes


class GAP(Metric):
    """GAP@top over all samples; exact on any number of processes. Keeps 5 * top bytes a sample.

    >>> gap = GAP(top=2)
    >>> gap.update(torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
    >>> round(float(gap.compute()), 4)  # ranked: hit, miss, then a hit and a miss of equal logits; (1 + 2/4) / 3
    0.5
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    scores: list[Tensor]
    hits: list[Tensor]
    positives: Tensor

    def __init__(self, top: int = 20) -> None:
        super().__init__()
        self.top, self.blocks = top, Blocks()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("hits", [], dist_reduce_fx="cat")
        self.add_state("positives", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones."""
        best = top_classes(logits, min(self.top, logits.shape[1]))
        self.scores.append(self.blocks.keep(logits.gather(1, best).float().flatten()))
        self.hits.append(self.blocks.keep((targets.gather(1, best) > 0).to(torch.uint8).flatten()))
        self.positives += torch.count_nonzero(targets)

    def compute(self) -> Tensor:
        """The score over all samples, float32; 0 if no sample has a label."""
        scores, hits = gathered(self.scores).cpu().numpy(), gathered(self.hits).cpu().numpy()
        value = average_precision(scores, hits, int(self.positives))
        return torch.tensor(value, dtype=torch.float32, device=self.positives.device)
