"""What the ranking metrics share: the best classes of a sample, and the precision at every hit of a ranked list.

Only the order of logits counts, so they are never turned into probabilities: in float32 a sigmoid rounds all logits
above 17 to 1 and would make ties of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def top_classes(logits: Tensor, count: int) -> Tensor:
    """The `count` highest classes of every sample, best first; of equal logits the lower class number comes first.

    `torch.topk` leaves equal logits in any order; half-precision training makes them common. NaN is higher than all.

    Args:
        logits: (B, C).
        count: at most C.

    Returns:
        int64 (B, count).
    """
    values, classes = logits.topk(min(count + 1, logits.shape[1]), dim=1)
    classes, border = classes[:, :count].contiguous(), values[:, count - 1 : count]
    # One more reaches the lowest chosen logit, and maybe others: which of them are chosen has to be decided by number.
    crowded = (values[:, count:] == border).any(1)
    if crowded.any():
        rows, border = logits[crowded], border[crowded]
        above, tied = ~(rows <= border), rows == border
        chosen = above | (tied & (tied.cumsum(1) <= count - above.sum(1, keepdim=True)))
        classes[crowded] = chosen.nonzero()[:, 1].view(-1, count)
    classes = classes.sort(dim=1).values
    order = logits.gather(1, classes).sort(dim=1, descending=True, stable=True).indices
    return classes.gather(1, order)


def average_precision(scores: NDArray[Any], hits: NDArray[Any], positives: int) -> float:
    """The non-interpolated average precision of a ranked list.

        AP = 1/positives * sum over hits h of #{hits with a score >= s_h} / #{entries with a score >= s_h}

    Equal scores are one threshold, as in scikit-learn, so the order in which entries came does not count.

    Args:
        scores: (n,).
        hits: (n,), non-zero where the entry is right.
        positives: how many right entries there are in all, in the list or not.

    Returns:
        In [0, 1]; 0 if there is nothing to find, NaN if a score is NaN.
    """
    if np.isnan(scores).any():
        return float("nan")
    right = np.sort(scores[hits != 0])
    if not positives or not len(right):
        return 0.0
    hits_above = len(right) - np.searchsorted(right, right)
    entries_above = len(scores) - np.searchsorted(np.sort(scores), right)
    return float((hits_above / entries_above).sum() / positives)


def gathered(state: list[Tensor] | Tensor) -> Tensor:
    """A list state as one tensor: torchmetrics keeps a list, and has joined it already where processes were merged."""
    return state if isinstance(state, Tensor) else torch.cat(state)
