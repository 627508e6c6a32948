"""Numbers to predict: learned standardised, told in the data's unit, whatever that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split
from fusionbench.fusion.base import FusionModule, Optimiser, Setting, sample_losses, task_loss
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.layer import layer
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, built, quiet_trainer, setting_of, task_of
from fusionbench.training.fit import evaluate, fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning"),
]
REGRESSION = TaskSpec((ModalitySpec("seen", "vector", (3,)), ModalitySpec("heard", "vector", (2,))), 2, "regression")


class Weights(MultimodalData):
    """Two numbers of every sample, in one unit or another."""

    kind = "regression"

    def __init__(self, root: Path, shift: float = 0.0, unit: float = 1.0) -> None:
        super().__init__(root, 0, 32)
        self.shift, self.unit = shift, unit

    @property
    def task(self) -> TaskSpec:
        return REGRESSION

    def identity(self) -> Any:
        return [self.shift, self.unit]

    def convert(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        seen, heard = rng.normal(size=(300, 3)), rng.normal(size=(300, 2))
        numbers = np.stack([seen[:, 0] * heard[:, 0], 3 * seen[:, 1] + heard[:, 1]], 1)
        np.save(folder / "seen.npy", seen.astype(np.float32))
        np.save(folder / "heard.npy", heard.astype(np.float32))
        np.save(folder / "targets.npy", self.shift + self.unit * numbers)

    def split(self) -> Split:
        rows = np.arange(300)
        return Split(rows[:200], rows[200:240], rows[240:])


def trained(data: MultimodalData, strategy: str, epochs: int = 3) -> tuple[FusionModule, dict[str, float], Any]:
    data.prepare_data()
    data.setup()
    torch.manual_seed(0)
    encoders = {name: Choice("mlp", {"width": 16}) for name in data.task.names}
    setting = Setting(data.task, encoders, 16, 16, optimiser=Optimiser(1e-2), epochs=epochs)
    module: FusionModule = load("strategy", strategy)(setting)
    budget = Budget(epochs=epochs, batch_size=32, learning_rate=1e-2)
    fitted = fit(module, data, budget, lambda epoch, scores: None)
    tested = evaluate(module, data, budget)
    return module, tested.scores | fitted.validation, tested.predictions


@pytest.mark.parametrize("strategy", ["concat", "gradient_blend", "mixture_of_experts"])
def test_another_unit_changes_errors_by_the_unit_and_nothing_else(tmp_path: Path, strategy: str) -> None:
    _, scores, _ = trained(Weights(tmp_path), strategy)
    _, other, _ = trained(Weights(tmp_path, shift=4e6, unit=2000.0), strategy)
    expected = {name: value * 2000 if name.endswith(("rmse", "mae")) else value for name, value in scores.items()}
    assert other == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert {f"test/{name}" for name in ("r2", "rmse", "mae", "pearson", "spearman")} <= set(scores)


def test_what_is_kept_of_test_rows_is_in_the_datas_unit(tmp_path: Path) -> None:
    data = Weights(tmp_path, shift=50.0, unit=10.0)
    module, scores, kept = trained(data, "concat", epochs=20)
    assert kept["ids"].tolist() == list(range(240, 300))
    np.testing.assert_array_equal(kept["targets"], data.arrays["targets"][240:])
    apart = kept["predicted"] - kept["targets"]
    assert scores["test/mae"] == pytest.approx(np.abs(apart).mean())
    assert scores["test/rmse"] == pytest.approx(np.sqrt((apart**2).mean(0)).mean())
    assert scores["test/r2"] > 0.5
    batch = data.batch(np.arange(240, 300))
    with torch.no_grad():
        told = module.eval()(batch.inputs)
    np.testing.assert_allclose(told.numpy(), kept["predicted"], rtol=1e-4)


def test_chance_is_the_mean_of_the_training_rows(tmp_path: Path) -> None:
    data = Weights(tmp_path, shift=50.0, unit=10.0)
    _, scores, kept = trained(data, "chance", epochs=1)
    np.testing.assert_allclose(kept["predicted"], np.tile(data.arrays["targets"][:200].mean(0), (60, 1)))
    assert scores["test/pearson"] == scores["test/spearman"] == 0.0
    assert scores["test/r2"] <= 0.0


def test_standardising_is_by_the_training_rows_alone(tmp_path: Path) -> None:
    data = Weights(tmp_path, shift=50.0, unit=10.0)
    module, _, _ = trained(data, "concat", epochs=1)
    assert module.target_scale is not None
    train = np.asarray(data.arrays["targets"][:200])
    np.testing.assert_allclose(module.target_scale.mean.numpy(), train.mean(0))
    np.testing.assert_allclose(module.target_scale.deviation.numpy(), train.std(0))


def test_a_checkpoint_brings_the_unit_back(tmp_path: Path) -> None:
    data = Weights(tmp_path, shift=50.0, unit=10.0)
    data.setup()
    module = ConcatFusion(Setting(REGRESSION, dict.fromkeys(("seen", "heard"), Choice("mlp", {"width": 8})), 8, 8))
    trainer = quiet_trainer(1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = ConcatFusion.load_from_checkpoint(tmp_path / "last.ckpt").eval()
    batch = data.batch(np.arange(5))
    with torch.no_grad():
        assert torch.equal(again(batch.inputs), module.eval()(batch.inputs))
        assert float(again(batch.inputs).mean()) > 30


def test_plain_loaders_are_looked_at_before_anything_is_trained() -> None:
    task = task_of(("vector", "vector"), "regression")
    batches = [replace(b, targets=100 + 10 * b.targets) for b in (batch_of(task, 8, seed) for seed in range(4))]
    loader: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    module = built("concat", task)
    trainer = quiet_trainer(1)
    trainer.fit(module, loader, loader)
    assert module.target_scale is not None
    every = torch.cat([batch.targets for batch in batches]).double()
    torch.testing.assert_close(module.target_scale.mean, every.mean(0))
    torch.testing.assert_close(module.target_scale.deviation, every.std(0, correction=0))
    said = torch.cat(trainer.predict(module, loader))  # type: ignore[arg-type]
    assert said.dtype == torch.float64
    assert abs(float(said.mean()) - 100) < 20
    (found,) = trainer.validate(module, loader, verbose=False)
    assert found["validation/rmse"] == pytest.approx(float((said - every).square().mean().sqrt()), rel=1e-4)


def test_a_number_that_never_changes_is_centred_and_does_not_become_infinite() -> None:
    task = task_of(("vector", "vector"), "regression")
    batch = replace(batch_of(task, 8), targets=torch.full((8, 1), 7.0))
    loader: DataLoader[MultimodalBatch] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
    module = built("concat", task)
    quiet_trainer(1, limit_val_batches=0).fit(module, loader, loader)
    assert module.target_scale is not None
    assert (module.target_scale.mean.item(), module.target_scale.deviation.item()) == (7.0, 1.0)


def test_the_loss_is_the_mean_squared_error_of_samples_and_numbers() -> None:
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 2.0]])
    assert sample_losses(outputs, targets, REGRESSION).tolist() == [2.5, 2.0]
    assert float(task_loss(outputs, targets, REGRESSION)) == float(nn.functional.mse_loss(outputs, targets)) == 2.25


def test_an_ensemble_of_regressions_is_their_mean_over_the_modalities_present() -> None:
    task = task_of(("vector", "vector"), "regression")
    module, batch = built("unimodal_ensemble", task).eval(), batch_of(task)
    batch = replace(batch, present=batch.present | {"m0": torch.arange(6) > 2})
    with torch.no_grad():
        found = module.predict(batch)
    own = torch.stack(list(found.unimodal.values()), 1)
    expected = torch.where(batch.present["m0"][:, None], own.mean(1), own[:, 1])
    torch.testing.assert_close(found.logits, expected)


def test_experts_of_numbers_are_gaussians_whose_mixture_is_as_likely_as_the_paper_says() -> None:
    task = task_of(("vector",) * 3, "regression")
    module, batch = built("mixture_of_experts", task).eval(), batch_of(task)
    with torch.no_grad():
        found = module.predict(batch)
        loss = float(module.loss(found, batch))
    assert found.weights is not None
    experts = torch.stack(list(found.unimodal.values()), 1).double()  # (B, M, C)
    gate = found.weights.double()
    torch.testing.assert_close(found.logits.double(), (gate[..., None] * experts).sum(1), rtol=1e-5, atol=1e-6)
    likely: Tensor = (gate * (-(batch.targets[:, None] - experts).square().sum(-1) / 2).exp()).sum(1)
    assert loss == pytest.approx(float(-likely.log().mean()), rel=1e-5)


def test_a_layer_gives_numbers() -> None:
    module = layer("gated", widths={"image": 5, "text": 4}, classes=2, kind="regression")
    assert module({"image": torch.randn(3, 5), "text": torch.randn(3, 4)}).shape == (3, 2)
    assert isinstance(module.target_scale, nn.Module)


@pytest.mark.parametrize("strategy", ["evidential", "pmr", "product_of_experts", "stacking"])
def test_a_formula_of_classes_is_refused_in_a_sentence(strategy: str) -> None:
    task = task_of(("vector", "vector"), "regression")
    reason = load("strategy", strategy).refusal(setting_of(task, strategy=strategy))
    assert reason.endswith("; this task is a regression, whose numbers have no classes")
    assert "\n" not in reason


def test_rows_of_a_half_decide_where_the_fusion_has_a_half(tmp_path: Path) -> None:
    data = Weights(tmp_path)
    data.setup()
    assert data.parts is not None
    half: Rows = data.parts.train[::2]
    data.parts = replace(data.parts, train=half)
    module = ConcatFusion(Setting(REGRESSION, dict.fromkeys(("seen", "heard"), Choice("mlp", {"width": 8})), 8, 8))
    quiet_trainer(1, limit_val_batches=0).fit(module, data)
    assert module.target_scale is not None
    np.testing.assert_allclose(module.target_scale.mean.numpy(), np.asarray(data.arrays["targets"])[half].mean(0))
