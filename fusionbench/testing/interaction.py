"""Contract point 8: what a strategy's fact `interaction` promises, on data whose structure is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch

from fusionbench.core.catalogue import describe, load
from fusionbench.data.base import MultimodalData
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.data.synthetic_regression import SyntheticRegression
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import quiet_trainer

HIGHEST = {"none": 0.60, "limited": 0.80, "full": 1.0}
"""Test accuracy on XOR: at most this."""
HIGHEST_R2 = {"none": 0.05, "limited": 0.70, "full": 1.0}
"""Test R2 on a product of two numbers: at most this; any sum over modalities has 0, but for noise."""
GENTLE = ("shared_private",)
"""Their own losses press small encodings to a constant at large steps, before the labels hold on to them: wider ones,
smaller steps, more of them."""


def trained_scores(strategy: str, relation: Literal["redundant", "synergy"], epochs: int, root: Path) -> dict[str, Any]:
    """Test scores after a short training.

    Args:
        strategy: its name.
        relation: of the labels to the two modalities.
        epochs: how many; twice as many for those of GENTLE.
        root: the data folder.
    """
    width, learning_rate, times = (128, 1e-3, 2) if strategy in GENTLE else (32, 5e-3, 1)
    data = SyntheticPID(root, 0, 64, relation=relation, train=1024, validation=64, test=512)
    return scores_on(data, strategy, width, learning_rate, times * epochs)


def scores_on(data: MultimodalData, strategy: str, width: int, learning_rate: float, epochs: int) -> dict[str, Any]:
    """Test scores of a strategy that is trained on data of two vectors."""
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


def check_xor(strategy: str, root: Path) -> None:
    """On a label that is the XOR of both modalities: full reaches .95, limited three cells of four, none chance."""
    interaction = describe("strategy", strategy).facts.get("interaction", "full")
    scores = trained_scores(strategy, "synergy", 10, root)
    accuracy = scores["test/accuracy"]
    most = HIGHEST[interaction]
    assert accuracy <= most, f"accuracy {accuracy:.3f} on XOR; interaction '{interaction}' promises at most {most}"
    if interaction == "full":
        assert accuracy >= 0.95, f"accuracy {accuracy:.3f} on XOR; interaction 'full' promises at least 0.95"
    if interaction == "none":
        nll = scores["test/nll"]
        assert nll >= math.log(2) - 0.02, f"NLL {nll:.3f} on XOR; interaction 'none' knows no more than chance"


def check_redundant(strategy: str, root: Path) -> None:
    """On a label that either modality tells alone: above .95; what looks at nothing stays at chance."""
    accuracy = trained_scores(strategy, "redundant", 5, root)["test/accuracy"]
    if describe("strategy", strategy).facts.get("uses") == "none":
        assert accuracy == 0.5, "it looks at nothing, and the data are balanced to the sample"
    else:
        assert accuracy > 0.95, f"accuracy {accuracy:.3f} where either modality alone tells the label"


def check_product(strategy: str, root: Path) -> None:
    """On a number that is the product of one of each modality: full is above R2 .6, a sum over modalities at 0."""
    interaction = describe("strategy", strategy).facts.get("interaction", "full")
    data = SyntheticRegression(root, 0, 64, relation="product", noise=0.2, train=1024, validation=64, test=512)
    width, learning_rate, epochs = (128, 1e-3, 20) if strategy in GENTLE else (32, 1e-2, 10)
    found = scores_on(data, strategy, width, learning_rate, epochs)["test/r2"]
    most = HIGHEST_R2[interaction]
    assert found <= most, f"R2 {found:.3f} on a product; interaction '{interaction}' promises at most {most}"
    if interaction == "full":  # After a short training, where a sum over modalities stays at 0.
        assert found > 0.6, f"R2 {found:.3f} on a product; interaction 'full' promises above 0.6"
    if describe("strategy", strategy).facts.get("uses") == "none":
        assert abs(found) <= 1e-6, f"R2 {found:.3f}; the mean of every part is 0"
