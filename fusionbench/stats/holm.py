"""Holm's correction: p values such that the chance of one false find among all is at most that at which one is called.

    p_(1) <= ... <= p_(N)      p~_(i) = min(1, max_{j <= i} (N - j + 1) p_(j))

Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
Tests hold it to statsmodels.stats.multitest; here it also takes thousands of tables at once.
"""

from __future__ import annotations

import numpy as np

from fusionbench.stats.estimate import Floats


def holm(p: Floats) -> Floats:
    """Corrected p values over the last axis; NaN is no test and counts for none."""
    tested = np.isfinite(p)
    count = tested.sum(-1, keepdims=True)
    filled = np.where(tested, p, np.inf)
    order = np.argsort(filled, -1, kind="stable")
    ordered = np.take_along_axis(filled, order, -1)
    factors = np.maximum(count - np.arange(p.shape[-1]), 1)
    raised = np.minimum(np.maximum.accumulate(ordered * factors, -1), 1.0)
    found = np.empty_like(raised)
    np.put_along_axis(found, order, raised, -1)
    return np.where(tested, found, np.nan)
