"""Every value that the track `tuned` may try builds, for two modalities and for three of other kinds."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from shipped import TRAINED

from fusionbench.core.catalogue import describe, load
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.tuned import own_space
from fusionbench.testing.samples import batch_of, options_of, setting_of, task_of

TUNABLE = [name for name in TRAINED if describe("strategy", name).facts.get("tunable")]
TASKS: list[tuple[ModalityKind, ...]] = [("sequence", "sequence"), ("vector", "image", "tokens")]


def ends(strategy: str) -> list[dict[str, Any]]:
    """The corners of its space; of an option with values, all of them."""
    space = own_space(describe("strategy", strategy), {}, "here")
    values = [part.get("of", [part.get("from"), part.get("to")]) for part in space.values()]
    return [dict(zip(space, chosen, strict=True)) for chosen in product(*values)]


@pytest.mark.parametrize("kinds", TASKS, ids=len)
@pytest.mark.parametrize("strategy", TUNABLE)
def test_every_corner_of_the_space_trains(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = task_of(kinds)
    make, setting, batch = load("strategy", strategy), setting_of(task, strategy=strategy), batch_of(task)
    if make.unsuitable(setting):
        pytest.skip(make.unsuitable(setting))
    for values in ends(strategy):
        torch.manual_seed(0)
        module: FusionModule = make(setting, **{**options_of(strategy, task), **values})
        logits = module.predict(batch).logits
        assert logits.shape == (len(batch.targets), task.classes), values
        assert logits.isfinite().all(), values
        assert logits.requires_grad, values
