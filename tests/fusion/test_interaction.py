"""What a strategy's fact `interaction` promises, on data whose structure is known: synthetic_pid."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fusionbench.core.catalogue import describe, names
from fusionbench.fusion.base import FusionModule
from fusionbench.testing.interaction import check_product, check_redundant, check_xor
from fusionbench.testing.samples import batch_of, built, logits_of, rows_of, task_of

STRATEGIES = names("strategy")
NUMBERS = [name for name in STRATEGIES if not describe("strategy", name).facts.get("needs_classes")]
"""Strategies that predict them."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")  # batches by index need none
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")  # chance
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_xor_is_learned_as_far_as_the_interaction_fact_says(strategy: str, root: Path) -> None:
    check_xor(strategy, root)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_either_modality_tells_is_learned(strategy: str, root: Path) -> None:
    check_redundant(strategy, root)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")
@pytest.mark.parametrize("strategy", NUMBERS)
def test_a_product_is_learned_as_far_as_the_interaction_fact_says(strategy: str, root: Path) -> None:
    check_product(strategy, root)


def interactions(values: Tensor) -> Tensor:
    """f(a, b) - f(a, b') - f(a', b) + f(a', b'): zero wherever f is a sum over modalities; (4, C) -> (C,)."""
    return values[0] - values[1] - values[2] + values[3]


def crossed(strategy: str) -> tuple[FusionModule, Tensor]:
    """A strategy's logits (4, C) for two values of each of two modalities, all four ways."""
    task = task_of(("vector", "vector"))
    module, batch = built(strategy, task), batch_of(task, size=2)
    four = rows_of(batch, torch.tensor([0, 0, 1, 1]))
    four.inputs["m1"] = batch.inputs["m1"][torch.tensor([0, 1, 0, 1])]
    return module, logits_of(module, four)


def test_late_fusion_is_additive_in_its_logits() -> None:
    _, logits = crossed("late")
    assert interactions(logits).abs().max() < 1e-5


def test_the_ensemble_is_additive_in_its_probabilities() -> None:
    _, logits = crossed("unimodal_ensemble")
    assert interactions(logits.exp()).abs().max() < 1e-5
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(4))


def test_concatenation_is_not_additive() -> None:
    _, logits = crossed("concat")
    assert interactions(logits).abs().max() > 1e-3
