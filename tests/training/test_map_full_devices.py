"""The mean average precision over all samples on several devices: the bits of one, and no logits are sent."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors
from two_processes import together

from fusionbench.core.ranks import Ranks
from fusionbench.metrics import map_full
from fusionbench.metrics.map_full import MAPFull

CLASSES, SAMPLES = 9, 3001


def drawn() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    targets = rng.random((SAMPLES, CLASSES)) < 0.02
    targets[:, 4] = False
    targets[:5, 5], targets[5:, 5] = True, False  # All of them on the first device.
    logits = rng.normal(-6, 2, (SAMPLES, CLASSES)) + 3 * targets
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


def scored(ranks: Ranks, exact: int, first: int = 0) -> tuple[float, tuple[float, float], list[int]]:
    """Score, bounds, and the sizes of what is sent; the first device has `first` samples, or half."""
    logits, targets = drawn()
    cut = first or SAMPLES // 2
    own = slice(None) if ranks.world_size == 1 else slice(0, cut) if ranks.is_first else slice(cut, None)
    metric, sent = MAPFull(CLASSES, exact), list[int]()
    for some, hits in zip(logits[own].tensor_split(9), targets[own].tensor_split(9), strict=True):
        metric.update(some, hits)

    def noting(send: Any) -> Any:
        def sends(values: Tensor, *given: Any, **named: Any) -> Any:
            sent.append(values.numel())
            return send(values, *given, **named)

        return sends

    gathers, reduces = noting(gather_all_tensors), noting(distributed.all_reduce)
    with patch.object(map_full, "gather_all_tensors", gathers), patch.object(distributed, "all_reduce", reduces):
        return float(metric.compute()), metric.bounds, sent


CASES = [(exact, first) for exact in (0, 20_000, 2**27) for first in (0, 2500)]
"""All in bins; in bins as they come on one of two devices; none. Equal parts, and unequal ones."""


def every_case(ranks: Ranks) -> list[tuple[float, tuple[float, float], list[int]]]:
    """One group for all, since to start one takes longer."""
    return [scored(ranks, *case) for case in CASES]


def test_two_devices_give_the_bits_of_one_and_send_labels_and_counts_alone() -> None:
    labels = int(drawn()[1].sum())
    for device in together(every_case):
        for (exact, first), (value, bounds, sent) in zip(CASES, device, strict=True):
            assert (value, bounds, []) == scored(Ranks(), exact, first)
            assert max(sent) <= 2 * labels
            assert sum(sent) < 6 * labels + 10 * CLASSES


def test_a_batch_by_itself_asks_no_other_device() -> None:
    assert together(batch_by_itself) == [(1.0, 1.0)] * 2


def batch_by_itself(ranks: Ranks) -> tuple[float, float]:
    """The score of a batch that the first device asks for alone, then that of both."""
    metric = MAPFull(2)
    whole = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    if ranks.is_first:
        value = float(metric(whole, whole))
    else:
        metric.update(whole, whole)
        value = 1.0
    return value, float(metric.compute())
