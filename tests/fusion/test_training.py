"""Strategies as LightningModules: the loss, the schedule, and a Trainer that knows nothing of fusionbench."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from scipy.special import expit, log_softmax

from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.scores import OF_KIND
from fusionbench.core.task import TaskSpec
from fusionbench.data.digits import Digits
from fusionbench.fusion.base import Optimiser, Setting, learning_rate_factor, task_loss
from fusionbench.fusion.chance import Chance
from fusionbench.fusion.gated import GatedFusion
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, built, quiet_trainer, task_of


@pytest.fixture
def digits(tmp_path: Path) -> Digits:
    return Digits(tmp_path, batch_size=64)


def setting_for(task: TaskSpec) -> Setting:
    encoders = {name: Choice("mlp", {"width": 32}) for name in task.names}
    return Setting(task, encoders, width=32, head_width=32, optimiser=Optimiser(5e-3))


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")  # batches by index need none
def test_a_plain_trainer_fits_a_strategy_on_digits(digits: Digits, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = GatedFusion(setting_for(digits.task), hidden=32)
    trainer = Trainer(
        max_epochs=15, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, logger=False
    )
    trainer.fit(module, digits)
    assert trainer.callback_metrics["validation/accuracy"] > 0.85
    assert trainer.callback_metrics["train/loss"] < 1.0
    scores = trainer.test(module, digits, verbose=False)[0]
    assert scores["test/accuracy"] > 0.85
    assert set(scores) == {f"test/{name}" for name in OF_KIND["multiclass"]}


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning")
def test_chance_counts_the_training_targets_once_whatever_the_epochs(digits: Digits) -> None:
    module = Chance(setting_for(digits.task))
    trainer = quiet_trainer(epochs=2)
    trainer.fit(module, digits)
    assert digits.parts is not None
    whole = len(digits.parts.train) // 64 * 64  # The last partial batch is dropped.
    assert int(module.samples) == int(module.counts.sum()) == whole
    counts = np.bincount(digits.arrays["targets"][digits.parts.train], minlength=10)
    assert np.abs(module.counts.numpy() - counts).sum() == len(digits.parts.train) - whole
    assert list(module.parameters()) == []


def test_the_epoch_mean_of_the_loss_is_logged_without_logging_in_the_step(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = built("concat", task_of(("vector", "vector")))
    batches = [batch_of(module.task, seed=seed) for seed in (1, 2)]
    losses = [module.training_step(batch, 0).item() for batch in batches]
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value: logged.update({name: float(value)}))
    module.on_train_epoch_end()
    assert logged == {"train/loss": pytest.approx(sum(losses) / 2)}
    module.on_train_epoch_end()
    assert len(logged) == 1


def test_the_loss_is_a_mean_over_samples() -> None:
    draw = np.random.default_rng(0)
    logits, labels = draw.standard_normal((5, 3)), draw.integers(3, size=5)
    found = task_loss(torch.from_numpy(logits), torch.from_numpy(labels), task_of(("vector",)))
    assert found.item() == pytest.approx(-log_softmax(logits, axis=1)[np.arange(5), labels].mean(), rel=1e-5)
    hits = draw.integers(2, size=(5, 3)).astype(np.float32)
    task = task_of(("vector",), "multilabel")
    found = task_loss(torch.from_numpy(logits), torch.from_numpy(hits), task)
    each = -(hits * np.log(expit(logits)) + (1 - hits) * np.log(expit(-logits)))
    assert found.item() == pytest.approx(each.sum(1).mean(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_sgd_steps_are_those_of_its_formula(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rate, decay, momentum = 0.05, 0.01, 0.9
    module = GatedFusion(replace(setting_for(digits.task), optimiser=Optimiser(rate, decay, "sgd", momentum)), hidden=8)
    weights = dict(module.named_parameters())
    expected = {name: weight.detach().clone() for name, weight in weights.items()}
    pace: dict[str, torch.Tensor] = {}

    def after(optimiser: torch.optim.Optimizer, *_: object) -> None:
        for name, weight in weights.items():
            gradient = weight.grad + decay * expected[name] if weight.grad is not None else torch.zeros_like(weight)
            pace[name] = momentum * pace.get(name, torch.zeros_like(weight)) + gradient
            expected[name] = expected[name] - optimiser.param_groups[0]["lr"] * pace[name]

    made = Optimiser.over

    def watched(*given: Any) -> torch.optim.Optimizer:
        optimiser = made(*given)
        optimiser.register_step_post_hook(after)
        return optimiser

    monkeypatch.setattr(Optimiser, "over", watched)
    quiet_trainer(epochs=1, limit_val_batches=0).fit(module, digits)
    assert len(pace) == len(weights)
    for name, weight in weights.items():
        torch.testing.assert_close(weight.detach(), expected[name], rtol=1e-4, atol=1e-5)


TRAINING = [name for name in names("strategy") if describe("strategy", name).facts.get("family") == "training"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.parametrize("strategy", TRAINING)
def test_the_training_family_learns_by_sgd(digits: Digits, strategy: str) -> None:
    torch.manual_seed(0)
    setting = replace(setting_for(digits.task), optimiser=Optimiser(0.05, 0.0, "sgd", 0.9), epochs=3)
    module = load("strategy", strategy)(setting)
    trainer = quiet_trainer(epochs=3)
    trainer.fit(module, digits)
    assert trainer.callback_metrics["validation/accuracy"] > 0.6


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
def test_the_learning_rate_rises_for_a_twentieth_and_falls_to_nothing(steps: int) -> None:
    factors = [learning_rate_factor(step, steps) for step in range(steps + 1)]
    peak = int(np.argmax(factors))
    assert max(factors) == 1.0
    assert all(factor > 0 for factor in factors[:-1])
    assert peak <= max(1, 0.05 * steps)
    assert all(np.diff(factors[peak:]) <= 0)
    assert factors[-1] == pytest.approx(0.0) or steps == 1


def test_members_of_the_ensemble_learn_from_their_own_loss_only() -> None:
    task = task_of(("vector", "vector"))
    module, batch = built("unimodal_ensemble", task), batch_of(task)
    batch = replace(batch, present=batch.present | {"m1": torch.zeros(6, dtype=torch.bool)})
    torch.autograd.backward(module.loss(module.predict(batch), batch))
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    assert any(g.abs().sum() > 0 for name, g in gradients.items() if ".m0." in name)
    assert all(g.abs().sum() == 0 for name, g in gradients.items() if ".m1." in name)
