"""Test predictions as arrays, for every later measure that needs no model (calibration, paired tests)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, distributed

from fusionbench.core.ranks import Ranks
from fusionbench.core.task import TaskSpec
from fusionbench.metrics.nll import sample_nll
from fusionbench.metrics.perr import sample_perr
from fusionbench.metrics.ranking import top_classes

TOP = 20


def predictions(logits: Tensor, targets: Tensor, ids: Tensor, task: TaskSpec) -> dict[str, NDArray[Any]]:
    """What is kept of N test samples.

    Multiclass: ids (N,), targets (N,), logits (N, C). Regression: ids, targets (N, C), predicted (N, C), in the data's
    unit. Multilabel, since N x C would be gigabytes: ids, positives (N,), and of the 20 highest classes their index,
    logit and hit, (N, 20) each, highest first; where one of them ranks, each sample's nll, or perr, NaN without labels.
    """
    if task.kind == "multiclass":
        return {"ids": ids.numpy(), "targets": targets.numpy(), "logits": logits.numpy().astype(np.float32)}
    if task.kind == "regression":
        return {"ids": ids.numpy(), "targets": targets.numpy(), "predicted": logits.numpy()}
    top = top_classes(logits, min(TOP, task.classes))  # Of equal logits the same ones that the scores take.
    own = {"nll": sample_nll, "perr": sample_perr}.get(task.metric)
    return {
        **({task.metric: own(logits, targets).numpy().astype(np.float32)} if own else {}),
        "ids": ids.numpy(),
        "positives": targets.sum(1).numpy().astype(np.int32),
        "index": top.numpy().astype(np.int32),
        "logit": logits.gather(1, top).float().numpy(),
        "hit": (targets.gather(1, top) > 0).numpy(),
    }


def gathered(batches: list[dict[str, NDArray[Any]]], ranks: Ranks) -> dict[str, NDArray[Any]]:
    """Predictions batch by batch, joined; the first process of a group gets those of all, in the order of the rows."""
    own = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    if ranks.world_size == 1:
        return own
    return {name: _from_all(values, ranks) for name, values in own.items()}  # One by one: less is on the way at a time.


def _from_all(own: NDArray[Any], ranks: Ranks) -> NDArray[Any]:
    """An array of all processes in the first of them; in another its own."""
    parts: list[Any] | None = [None] * ranks.world_size if ranks.is_first else None
    distributed.gather_object(own, parts)
    return own if parts is None else np.concatenate(parts)
