"""Strategies that are solved for at once: against scikit-learn's own estimators, whatever the batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shipped import FITTED
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.data.digits import Digits
from fusionbench.data.splits import Rows
from fusionbench.fusion._fitted import ranked_by
from fusionbench.fusion._logistic import Rows as Given
from fusionbench.fusion._logistic import Solution, accuracy_then_nll, chosen, folds_of, said_of, solved
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.logistic_regression import LogisticRegressionFusion
from fusionbench.fusion.stacking import StackingFusion
from fusionbench.metrics.scores import score_metrics
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, built, logits_of, options_of, quiet_trainer, setting_of, task_of
from fusionbench.training.fit import evaluate, fit
from fusionbench.training.group import can_be_shared

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training:UserWarning"),  # As they should be.
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
]
FROZEN = Choice("small_cnn", {"width": 16, "channels": [8], "groups": 4}, pretrain=Pretraining(epochs=1))
GRID = (1e-3, 1e-1, 10.0)
BUDGET = Budget(epochs=7, batch_size=128)


class Whole(Digits):
    """Digits in batches that leave no training row out, some with one half alone."""

    def split(self) -> Any:
        found = super().split()
        return replace(found, train=found.train[: 128 * (len(found.train) // 128)])

    def batch(self, rows: Rows) -> MultimodalBatch:
        whole = super().batch(rows)
        return replace(whole, present={**whole.present, "right": whole.ids % 5 > 0})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return ready(tmp_path_factory.mktemp("data"))


def ready(root: Path, batch_size: int = 128, kind: type[Digits] = Whole) -> Digits:
    found = kind(root, 0, batch_size)
    found.prepare_data()
    found.setup()
    return found


def setting_for(data: Digits) -> Setting:
    return Setting(data.task, dict.fromkeys(data.task.names, FROZEN), 16, 16)


def trained(kind: type[Any], data: Digits, **options: Any) -> Any:
    torch.manual_seed(0)
    module = kind(setting_for(data), **options)
    fit(module, data, BUDGET, lambda *_: None)
    return module


def encodings(module: FusionModule, data: Digits, rows: Rows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(N, M, D), bool (N, M), and labels (N,), rows in order."""
    rows = np.sort(rows)
    with torch.no_grad():
        encoded = module.eval().encode(data.batch(rows))
    x = torch.stack([one.pooled for one in encoded.values()], 1).double().numpy()
    here = torch.stack([one.present for one in encoded.values()], 1).numpy()
    return x, here, data.batch(rows).targets.numpy()


def scaled(data: Digits, module: FusionModule) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Of each part: encodings (N, M, D) as scikit-learn standardises them over present training rows, and labels."""
    assert data.parts is not None
    parts = {"train": data.parts.train, "validation": data.parts.validation, "test": data.parts.test}
    found = {name: encodings(module, data, rows) for name, rows in parts.items()}
    first, here, _ = found["train"]
    scalers = [StandardScaler().fit(first[here[:, m], m]) for m in range(first.shape[1])]
    return {
        name: (
            np.stack([s.transform(x[:, m]) * present[:, m : m + 1] for m, s in enumerate(scalers)], 1),
            targets,
        )
        for name, (x, present, targets) in found.items()
    }


def flat(x: NDArray[Any]) -> NDArray[Any]:
    return x.reshape(len(x), -1)


def probabilities(module: FusionModule, data: Digits, rows: Rows) -> NDArray[Any]:
    return logits_of(module, data.batch(np.sort(rows))).double().softmax(1).numpy()


def exact(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)


def best(grid: tuple[float, ...], train: Any, validation: Any) -> float:
    """The C of the best validation accuracy, then of the lower NLL, by scikit-learn's own estimators and scores."""
    models = {c: exact(c).fit(*train) for c in grid}
    ranks = {
        c: (m.score(*validation), -log_loss(validation[1], m.predict_proba(validation[0]))) for c, m in models.items()
    }
    return max(ranks, key=lambda c: ranks[c])


def test_a_logistic_regression_is_scikit_learns_on_standardised_encodings(data: Digits) -> None:
    module = trained(LogisticRegressionFusion, data, grid=GRID)
    parts = {name: (flat(x), y) for name, (x, y) in scaled(data, module).items()}
    expected = exact(best(GRID, parts["train"], parts["validation"])).fit(*parts["train"])
    assert data.parts is not None
    found = probabilities(module, data, data.parts.test)
    np.testing.assert_allclose(found, expected.predict_proba(parts["test"][0]), atol=2e-3)
    assert (found.argmax(1) == parts["test"][1]).mean() > 0.5  # Of ten classes, by encoders that never learned.


def test_stacking_is_scikit_learns_with_the_same_folds(data: Digits) -> None:
    """Where every row has both halves: scikit-learn knows no absent modality."""
    plain = ready(data.root, 128, AllThere)
    module = trained(StackingFusion, plain, grid=(0.1,), folds=4)
    parts = {name: (flat(x), y) for name, (x, y) in scaled(plain, module).items()}
    columns = {"left": slice(0, 16), "right": slice(16, 32)}
    members = [
        (name, make_pipeline(ColumnTransformer([("own", "passthrough", part)]), exact(0.1)))
        for name, part in columns.items()
    ]
    expected = StackingClassifier(
        members,
        make_pipeline(StandardScaler(), exact(0.1)),
        cv=PredefinedSplit(folds_of(parts["train"][1], 4, 0)),
        stack_method="decision_function",
    ).fit(*parts["train"])
    assert plain.parts is not None
    found = probabilities(module, plain, plain.parts.test)
    np.testing.assert_allclose(found, expected.predict_proba(parts["test"][0]), atol=5e-3)
    assert (found.argmax(1) == parts["test"][1]).mean() > 0.5  # Of ten classes, by encoders that never learned.


class AllThere(Whole):
    """The same rows, with both halves."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        return Digits.batch(self, rows)


@pytest.mark.parametrize("strategy", FITTED)
def test_what_is_found_depends_on_the_rows_alone_and_takes_one_epoch(strategy: str, data: Digits) -> None:
    kind = load("strategy", strategy)
    module, other = trained(kind, data), trained(kind, ready(data.root, 32))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-4, atol=1e-4)
    assert not can_be_shared(module)  # So one device does it.
    again = kind(setting_for(data))
    fitted = fit(again, data, BUDGET, lambda *_: None)
    assert fitted.epochs_run == len(fitted.curves["train/loss"]) == 1
    tested = evaluate(again, data, BUDGET).scores
    assert fitted.curves["train/loss"][0] < tested["test/nll"] + 0.05  # That of the solution, not of first weights.


@pytest.mark.parametrize("strategy", FITTED)
def test_stored_encodings_give_what_live_ones_give(
    strategy: str, data: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, other = load("strategy", strategy), ready(data.root)
    torch.manual_seed(0)
    encoders = kind(setting_for(data))

    def stored(rows: Rows) -> MultimodalBatch:
        live = data.batch(rows)
        with torch.no_grad():
            return replace(live, inputs={}, masks={}, encoded=encoders.encode(live))

    monkeypatch.setattr(other, "batch", stored)
    live = trained(kind, data).state_dict()
    for name, value in trained(kind, other).state_dict().items():
        torch.testing.assert_close(value, live[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strategy", FITTED)
def test_an_absent_modality_adds_nothing(strategy: str, data: Digits) -> None:
    module = trained(load("strategy", strategy), data)
    assert data.parts is not None
    batch = data.batch(data.parts.test[:9])
    gone = replace(batch, present={**batch.present, "right": torch.zeros(9, dtype=torch.bool)})
    none = replace(gone, present=dict.fromkeys(batch.present, torch.zeros(9, dtype=torch.bool)))
    linear = cast(torch.nn.Linear, module.linear)
    torch.testing.assert_close(logits_of(module, none), linear.bias.expand(9, -1))
    if isinstance(module, LogisticRegressionFusion):
        encoded = module.encode(gone)["left"].pooled
        left = (encoded - module.standardised.mean[0]) / module.standardised.scale[0]
        torch.testing.assert_close(logits_of(module, gone), left @ linear.weight[:, :16].T + linear.bias)


@pytest.mark.parametrize("strategy", FITTED)
def test_learning_encoders_and_several_labels_are_unsuitable_in_words(strategy: str) -> None:
    kind, task = load("strategy", strategy), task_of(("vector", "image"))
    frozen = setting_of(task, strategy=strategy)
    assert kind.unsuitable(frozen) == ""
    mixed = {**frozen.encoders, "m1": replace(frozen.encoders["m1"], pretrain=None)}
    assert "here the encoders of m1 learn" in kind.unsuitable(replace(frozen, encoders=mixed))
    several = setting_of(task_of(("vector", "image"), "multilabel"), strategy=strategy)
    assert "one true class a sample" in kind.unsuitable(several)


@pytest.mark.parametrize("strategy", FITTED)
@pytest.mark.parametrize("grid", [(), (1.0, 0.1), (0.1, 0.1), (0.0, 1.0), (1.0, float("inf"))])
def test_a_grid_that_does_not_rise_is_refused(strategy: str, grid: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=f"'{strategy}': grid is .*each larger than the last"):
        load("strategy", strategy)(setting_of(task_of(("vector",)), strategy=strategy), grid=grid)


def test_one_fold_is_refused() -> None:
    with pytest.raises(UserError, match="'stacking': folds is 1; it must be an integer of at least 2"):
        StackingFusion(setting_of(task_of(("vector",)), strategy="stacking"), folds=1)


@pytest.mark.parametrize("strategy", FITTED)
@pytest.mark.parametrize("targets", [[0] * 12, [0, 1] * 6, [2, 0] * 6], ids=str)
def test_classes_that_no_training_row_has_are_unlikely_and_nothing_is_infinite(
    strategy: str, targets: list[int]
) -> None:
    task: TaskSpec = task_of(("vector", "vector"))
    module, batch = built(strategy, task), replace(batch_of(task, 12), targets=torch.tensor(targets))
    loader: DataLoader[MultimodalBatch] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(1).fit(module, loader, loader)
    found = logits_of(module, batch).softmax(1)
    assert found.isfinite().all()
    assert set(found.argmax(1).tolist()) <= set(targets)
    assert found[:, sorted({0, 1, 2} - set(targets))].max() < 1e-3


def test_two_classes_are_the_sigmoid_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    x, targets = draw.normal(size=(60, 3)), draw.integers(2, size=60)
    logits = solved(Given(x, targets), 2, 0.5).logits(x)
    expected = exact(0.5).fit(x, targets).decision_function(x)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=1e-3)


def test_of_equals_the_smaller_strength_is_chosen_and_without_validation_the_middle_one() -> None:
    x, targets = np.zeros((6, 2)), np.array([0, 1] * 3)  # Nothing to learn: all are equal.
    rows, none = Given(x, targets), Given(x[:0], targets[:0])
    assert chosen((0.1, 1.0, 10.0), rows, rows, 2).strength == 0.1
    assert chosen((0.1, 1.0, 10.0), rows, none, 2).strength == 1.0


def test_folds_spread_every_class_evenly_and_the_seed_draws() -> None:
    targets = np.random.default_rng(0).integers(3, size=100)
    fold = folds_of(targets, 4, 7)
    for label in range(3):
        assert np.ptp(np.bincount(fold[targets == label], minlength=4)) <= 1
    assert np.ptp(np.bincount(fold)) <= 1
    assert (folds_of(targets, 4, 7) == fold).all()
    assert (folds_of(targets, 4, 8) != fold).any()


def test_a_row_says_where_its_grid_ended_and_what_did_not_converge() -> None:
    one, other = (Solution(np.zeros((2, 1)), np.zeros(2), c, c < 1) for c in (0.1, 1.0))
    assert said_of({"a": one}, (0.01, 0.1, 1.0)) == ()
    assert said_of({"a": one, "b": other}, (0.01, 0.1, 1.0)) == (
        "C is at an end of its grid: b 1",
        "not converged after 1000 steps: b",
    )
    assert said_of({"a": one}, (0.1,)) == ()
    assert options_of("stacking", task_of(("vector",)))["folds"] == 5


@pytest.mark.parametrize("metric", ["nll", "macro_f1", "balanced_accuracy", "auroc"])
def test_another_metric_that_ranks_chooses_c(metric: Any) -> None:
    task = TaskSpec((), 3, "multiclass", metric)
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(120, 6)), rng.integers(0, 3, 120)
    x[:, :3] += 0.8 * np.eye(3)[targets]
    train, validation = Given(x[:80], targets[:80]), Given(x[80:], targets[80:])
    grid = (1e-3, 1e-2, 1e-1, 1.0, 100.0)
    found = chosen(grid, train, validation, 3, ranked_by(task))
    scores = {}
    for strength in grid:
        metrics = score_metrics(task)
        logits = solved(train, 3, strength).logits(validation.x)
        metrics.update(torch.from_numpy(logits), torch.from_numpy(validation.targets))
        scores[strength] = float(metrics.compute()[metric])
    best = min(scores.values()) if metric == "nll" else max(scores.values())
    assert scores[found.strength] == pytest.approx(best, abs=2e-3)
    assert ranked_by(replace(task, metric="accuracy")) is accuracy_then_nll
