"""What a strategy's fact `interaction` promises, on data whose structure is known: synthetic_pid."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from fusionbench.core.catalogue import describe, load, names
from fusionbench.data.base import MultimodalData
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.data.synthetic_regression import SyntheticRegression
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, built, logits_of, quiet_trainer, rows_of, task_of

STRATEGIES = names("strategy")
HIGHEST = {"none": 0.60, "limited": 0.80, "full": 1.0}
"""Test accuracy on XOR: at most this."""
HIGHEST_R2 = {"none": 0.05, "limited": 0.70, "full": 1.0}
"""Test R2 on a product of two numbers: at most this; any sum over modalities has 0, but for noise."""
NUMBERS = [name for name in STRATEGIES if not describe("strategy", name).facts.get("needs_classes")]
"""Strategies that predict them."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


GENTLE = ("shared_private",)
"""Their own losses press small encodings to a constant at large steps, before the labels hold on to them: wider ones,
smaller steps, more of them."""


def trained_scores(strategy: str, relation: Literal["redundant", "synergy"], epochs: int, root: Path) -> dict[str, Any]:
    """Test scores after a short training."""
    width, learning_rate, times = (128, 1e-3, 2) if strategy in GENTLE else (32, 5e-3, 1)
    data = SyntheticPID(root, 0, 64, relation=relation, train=1024, validation=64, test=512)
    return scores_on(data, strategy, width, learning_rate, times * epochs)


def scores_on(data: MultimodalData, strategy: str, width: int, learning_rate: float, epochs: int) -> dict[str, Any]:
    data.prepare_data()
    data.setup()
    torch.manual_seed(0)
    encoders = {name: Choice("mlp", {"width": width}) for name in data.task.names}
    setting = Setting(data.task, encoders, width, width, optimiser=Optimiser(learning_rate))
    by = describe("strategy", strategy).facts.get("per_modality")
    options = {str(by): "a"} if by else {}
    module: FusionModule = load("strategy", strategy)(setting, **options)
    trainer = quiet_trainer(epochs, limit_val_batches=0)
    trainer.fit(module, data)
    return dict(trainer.test(module, data, verbose=False)[0])


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")  # batches by index need none
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")  # chance
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_xor_is_learned_as_far_as_the_interaction_fact_says(strategy: str, root: Path) -> None:
    interaction = describe("strategy", strategy).facts["interaction"]
    scores = trained_scores(strategy, "synergy", 10, root)
    assert scores["test/accuracy"] <= HIGHEST[interaction]
    if interaction == "full":
        assert scores["test/accuracy"] >= 0.95
    if interaction == "none":
        assert scores["test/nll"] >= math.log(2) - 0.02


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_either_modality_tells_is_learned(strategy: str, root: Path) -> None:
    accuracy = trained_scores(strategy, "redundant", 5, root)["test/accuracy"]
    if describe("strategy", strategy).facts.get("uses") == "none":
        assert accuracy == 0.5  # Balanced to the sample.
    else:
        assert accuracy > 0.95


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")
@pytest.mark.parametrize("strategy", NUMBERS)
def test_a_product_is_learned_as_far_as_the_interaction_fact_says(strategy: str, root: Path) -> None:
    interaction = describe("strategy", strategy).facts["interaction"]
    data = SyntheticRegression(root, 0, 64, relation="product", noise=0.2, train=1024, validation=64, test=512)
    width, learning_rate, epochs = (128, 1e-3, 20) if strategy in GENTLE else (32, 1e-2, 10)
    scores = scores_on(data, strategy, width, learning_rate, epochs)
    assert scores["test/r2"] <= HIGHEST_R2[interaction]
    if interaction == "full":
        assert scores["test/r2"] > 0.6  # After a short training, where a sum over modalities stays at 0.
    if describe("strategy", strategy).facts.get("uses") == "none":
        assert scores["test/r2"] == pytest.approx(0.0, abs=1e-6)  # The mean of every part is 0.


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
