"""Test predictions as arrays, for every later measure that needs no model (calibration, paired tests)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.task import TaskSpec

TOP = 20


def predictions(logits: Tensor, targets: Tensor, ids: Tensor, task: TaskSpec) -> dict[str, NDArray[Any]]:
    """What is kept of N test samples.

    Multiclass: ids (N,), targets (N,), logits (N, C). Multilabel, since N x C would be gigabytes: ids, positives (N,),
    and of the 20 highest classes their index, logit and hit, (N, 20) each, highest first.
    """
    if task.kind == "multiclass":
        return {"ids": ids.numpy(), "targets": targets.numpy(), "logits": logits.numpy().astype(np.float32)}
    top = logits.topk(min(TOP, task.classes), dim=1)
    return {
        "ids": ids.numpy(),
        "positives": targets.sum(1).numpy().astype(np.int32),
        "index": top.indices.numpy().astype(np.int32),
        "logit": top.values.numpy().astype(np.float32),
        "hit": targets.gather(1, top.indices).numpy().astype(bool),
    }
