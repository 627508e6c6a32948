"""How far apart modalities are while they are learned: from the curves of rows that learn one modality alone.

    c_m(t)      exp(-NLL_m(t)): the geometric mean of the probability that the model of modality m gives the true class
                of validation rows after epoch t
    imbalance   mean over epochs of c_i(t) - c_j(t)

Above 0 the first one is learned faster, or says more. It is of the data and the encoders, not of a fusion.

Source: ours; Peng et al. 2022, arXiv:2203.15332, modulate gradients by a ratio of such confidences within a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

CURVE = "validation/nll"


def imbalance(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Of two curves of NLL, over the epochs that both have; None where they have none.

    >>> round(imbalance([0.0, 0.0], [0.6931471805599453, 0.0]), 6)
    0.25
    """
    both = list(zip(one, other, strict=False))
    return fmean(math.exp(-a) - math.exp(-b) for a, b in both) if both else None
