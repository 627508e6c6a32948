"""Halves of the training rows: one for encoders that are trained beforehand, the other for the fusion.

An encoder is surer of rows that it was trained on than of others. A fusion that is trained on those very rows learns to
trust most whatever encoder fits them best; on rows that no encoder has seen it meets what it will meet in a test.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import derived_seed
from fusionbench.core.errors import UserError
from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import InOrder
from fusionbench.data.splits import Rows, halves

ENCODERS: Literal[0] = 0
FUSION: Literal[1] = 1
"""Whose half."""


def keep_half(data: MultimodalData, whose: Literal[0, 1]) -> None:
    """From now on the training rows are that half of all of them; what was fitted on all stays as it is.

    The halves depend on the data and their seed alone. `data.whole` is the split as it was.

    Args:
        data: set up, and not shared out yet.
        whose: ENCODERS or FUSION.

    Raises:
        UserError: there is no second half.
    """
    whole = data.whole or data.parts
    assert whole is not None
    rng = np.random.default_rng(derived_seed(data.seed, "halves"))
    found = halves(_labels(data, whole.train), rng, data.groups(whole.train))
    if not all(map(len, found)):
        raise UserError(
            f"{data.name}: its {len(whole.train)} training rows are one group and cannot be cut into halves;\n"
            "train the encoders on all of them (pretrain: {rows: all})"
        )
    data.whole, data.parts = whole, replace(whole, train=whole.train[found[whose]])


def _labels(data: MultimodalData, rows: Rows) -> NDArray[Any]:
    """(n,): the class of each of those rows; zeros where a row may have several."""
    if data.task.kind != "multiclass":
        return np.zeros(len(rows), dtype=np.int64)
    if "targets" in data.tensors:
        return data.tensors["targets"].numpy()[rows]
    return np.concatenate([data.batch(some).targets.numpy() for some in InOrder(rows)])
