"""Training: the best epoch on validation is kept, and the test rows are touched once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import Diverged, UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.digits import Digits
from fusionbench.fusion.base import FusionModule, Prediction, Setting, learning_rate_factor, task_loss
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import Choice
from fusionbench.training.fit import evaluate, fit
from fusionbench.training.predictions import predictions

ENCODERS = {name: Choice("mlp", {"width": 16, "depth": 1}) for name in ("left", "right")}
BUDGET = Budget(epochs=4, learning_rate=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def data(folder: Path) -> Digits:
    found = Digits(folder, seed=0)
    found.setup()
    return found


def module(data: Digits, kind: type[FusionModule] = ConcatFusion) -> FusionModule:
    torch.manual_seed(0)
    return kind(Setting(data.task, ENCODERS, width=16, head_width=16))


def validation_accuracy(model: FusionModule, data: Digits) -> float:
    assert data.parts is not None
    batch = data.batch(data.parts.validation)
    with torch.inference_mode():
        return float((model.eval()(batch.inputs).argmax(1) == batch.targets).float().mean())


class Zigzag(ConcatFusion):
    """Learns for two epochs, then is spoiled by a huge weight: its best epoch is not its last."""

    def on_train_epoch_start(self) -> None:
        if self.current_epoch >= 2:
            with torch.no_grad():
                list(self.head.parameters())[-1][0] = 1e4  # The last bias.


class Bursts(ConcatFusion):
    """Its loss is not finite from the second epoch on."""

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        return super().loss(prediction, batch) * (float("inf") if self.current_epoch >= 1 else 1.0)


class Watched(ConcatFusion):
    """Notes the rows that it saw in each phase."""

    def predict(self, batch: MultimodalBatch) -> Prediction:
        seen: dict[str, set[int]] = self.__dict__.setdefault("seen", {})
        seen.setdefault(self.trainer.state.stage or "", set()).update(batch.ids.tolist())
        return super().predict(batch)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return super().fuse(encoded)


def test_the_best_epoch_on_validation_is_kept_not_the_last(data: Digits) -> None:
    model = module(data, Zigzag)
    fitted = fit(model, data, BUDGET, lambda epoch, scores: None)
    curve = fitted.curves["validation/accuracy"]
    assert fitted.validation["epoch"] == 1 + int(np.argmax(curve))
    assert fitted.validation["epoch"] <= 2
    assert curve[-1] < 0.3
    assert validation_accuracy(model, data) == pytest.approx(max(curve))


def test_patience_stops_after_so_many_epochs_without_a_better_one(data: Digits) -> None:
    fitted = fit(module(data, Zigzag), data, replace(BUDGET, epochs=20, patience=2), lambda epoch, scores: None)
    assert fitted.epochs_run == int(fitted.validation["epoch"]) + 2


def test_every_epoch_is_told_and_has_its_place_in_the_curves(data: Digits) -> None:
    told: list[int] = []
    fitted = fit(module(data), data, BUDGET, lambda epoch, scores: told.append(epoch))
    assert told == [1, 2, 3, 4]
    assert {name: len(curve) for name, curve in fitted.curves.items()} == {
        "train/loss": 4,
        "validation/accuracy": 4,
        "validation/nll": 4,
    }
    assert fitted.curves["train/loss"][-1] < fitted.curves["train/loss"][0]


def test_a_loss_that_is_not_finite_ends_training_as_diverged(data: Digits) -> None:
    with pytest.raises(Diverged, match="not finite"):
        fit(module(data, Bursts), data, BUDGET, lambda epoch, scores: None)


def test_training_sees_training_rows_and_the_test_rows_are_seen_only_by_the_test(data: Digits) -> None:
    model = module(data, Watched)
    fit(model, data, BUDGET, lambda epoch, scores: None)
    seen: dict[str, set[int]] = model.__dict__["seen"]
    assert data.parts is not None
    assert seen["train"] <= set(data.parts.train.tolist())
    assert seen["validate"] == set(data.parts.validation.tolist())
    assert "test" not in seen
    tested = evaluate(model, data, BUDGET)
    assert seen["test"] == set(data.parts.test.tolist())
    assert tested.predictions["ids"].tolist() == data.parts.test.tolist()


def test_callbacks_that_an_installed_package_registers_have_no_part_in_a_run(
    data: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "meddler-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: meddler\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[lightning.pytorch.callbacks_factory]\nown = meddler:callbacks\n")
    (tmp_path / "meddler.py").write_text("def callbacks(): raise RuntimeError('meddled')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError, match="meddled"):
        Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model = module(data)
    fit(model, data, BUDGET, lambda epoch, scores: None)
    evaluate(model, data, BUDGET)


def test_two_trainings_from_the_same_seed_end_in_the_same_weights(data: Digits) -> None:
    states = []
    for _ in range(2):
        model = module(data)
        fit(model, data, BUDGET, lambda epoch, scores: None)
        states.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


@pytest.mark.parametrize("metric", ["nll", "balanced_accuracy", "auroc"])
def test_the_epoch_that_is_kept_is_the_best_by_the_metric_in_its_own_direction(data: Digits, metric: Any) -> None:
    model = module(data, Zigzag)
    model = Zigzag(replace(model.setting, task=replace(data.task, metric=metric)))
    fitted = fit(model, data, BUDGET, lambda epoch, scores: None)
    curve = fitted.curves[f"validation/{metric}"]
    best = min(curve) if metric == "nll" else max(curve)
    assert fitted.validation[f"validation/{metric}"] == best
    assert int(fitted.validation["epoch"]) == curve.index(best) + 1 <= 2
    assert set(fitted.curves) == {f"validation/{metric}", "validation/nll", "train/loss"}


def test_patience_is_by_the_metric_in_its_own_direction(data: Digits) -> None:
    model = Zigzag(replace(module(data).setting, task=replace(data.task, metric="nll")))
    fitted = fit(model, data, replace(BUDGET, epochs=9, patience=2), lambda epoch, scores: None)
    assert fitted.epochs_run == int(fitted.validation["epoch"]) + 2 == 4


def test_a_metric_that_validation_does_not_have_is_told_in_one_line(data: Digits) -> None:
    model = ConcatFusion(replace(module(data).setting, task=replace(data.task, metric="auroc")))
    assert data.parts is not None
    labels = np.asarray(data.arrays["targets"])
    few = data.parts.validation[labels[data.parts.validation] < 9]
    data.parts = replace(data.parts, validation=few)
    with pytest.raises(UserError, match="auroc is not defined on these validation rows; some class has none of them"):
        fit(model, data, BUDGET, lambda epoch, scores: None)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 100) for step in range(101)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert factors == sorted(factors[:6]) + sorted(factors[6:], reverse=True)
    assert factors[100] == pytest.approx(0.0)
    assert learning_rate_factor(0, 1) == 1.0


def test_the_multilabel_loss_is_summed_over_classes_and_a_mean_over_samples() -> None:
    task = TaskSpec((ModalitySpec("x", "vector", (1,)),), 3, "multilabel", "gap20")
    logits, targets = torch.tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0, 0], [0, 1.0, 1.0]])
    chance = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    by_hand = -(targets.numpy() * np.log(chance) + (1 - targets.numpy()) * np.log(1 - chance)).sum() / 2
    assert float(task_loss(logits, targets, task)) == pytest.approx(by_hand, rel=1e-6)


def test_multilabel_predictions_keep_the_top_20_and_the_number_of_positives() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(5, 40)).astype(np.float32), rng.random((5, 40)) < 0.1
    task = TaskSpec((ModalitySpec("x", "vector", (1,)),), 40, "multilabel", "gap20")
    kept: dict[str, Any] = predictions(
        torch.from_numpy(logits), torch.from_numpy(targets.astype(np.float32)), torch.arange(5), task
    )
    order = np.argsort(-logits, axis=1)[:, :20]
    assert np.array_equal(kept["index"], order)
    assert np.array_equal(kept["logit"], np.take_along_axis(logits, order, 1))
    assert np.array_equal(kept["hit"], np.take_along_axis(targets, order, 1))
    assert kept["positives"].tolist() == targets.sum(1).tolist()
    level: dict[str, Any] = predictions(torch.zeros(1, 40), torch.ones(1, 40), torch.arange(1), task)
    assert level["index"].tolist() == [list(range(20))]  # Of equal logits the ones that the scores take.
