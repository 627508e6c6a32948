"""Scores of resamples: each is that of the repeated rows themselves, by scikit-learn and scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from fusionbench.core.scores import OF_KIND
from fusionbench.core.task import MetricName, ModalitySpec, TaskKind, TaskSpec
from fusionbench.metrics.nll import NegativeLogLikelihood
from fusionbench.metrics.perr import PERR
from fusionbench.training.predictions import predictions
from fusionbench.training.resamples import ALWAYS, drawn, resamples_of, seed_of
from fusionbench.training.weighted import mean_of, of_classes, of_numbers

SEED = seed_of("f" * 64, "0" * 64)
N, CLASSES = 40, 4
CHECKED = 25
"""Resamples that are repeated row by row."""


def task(kind: TaskKind, metric: MetricName, classes: int = CLASSES) -> TaskSpec:
    return TaskSpec((ModalitySpec("x", "vector", (1,)),), classes, kind, metric)


def counts() -> np.ndarray:
    return next(iter(drawn(np.arange(N), N, SEED, CHECKED)))


def classified() -> tuple[np.ndarray, np.ndarray]:
    """Logits with ties, and targets of which one class is so rare that some resamples lack it."""
    rng = np.random.default_rng(0)
    targets = np.r_[0, rng.integers(1, CLASSES, N - 1)]
    return np.round(rng.normal(size=(N, CLASSES)) + np.eye(CLASSES)[targets], 1).astype(np.float32), targets


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(1, keepdims=True)


def macro_auroc(logits: np.ndarray, targets: np.ndarray) -> float:
    """Over the classes that there are; scikit-learn has no word for the others."""
    chances, known = probabilities(logits), np.unique(targets)
    return float(np.mean([metrics.roc_auc_score(targets == c, chances[:, c]) for c in known]))


BY_CLASS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda z, y: metrics.accuracy_score(y, z.argmax(1)),
    "balanced_accuracy": lambda z, y: metrics.recall_score(y, z.argmax(1), labels=np.unique(y), average="macro"),
    "macro_f1": lambda z, y: metrics.f1_score(y, z.argmax(1), average="macro"),
    "auroc": macro_auroc,
    "nll": lambda z, y: metrics.log_loss(y, probabilities(z), labels=np.arange(CLASSES)),
}
BY_NUMBER: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "r2": lambda x, y: metrics.r2_score(y, x),
    "rmse": lambda x, y: metrics.root_mean_squared_error(y, x),
    "mae": lambda x, y: metrics.mean_absolute_error(y, x),
    "pearson": lambda x, y: float(np.mean([stats.pearsonr(*pair)[0] for pair in zip(x.T, y.T, strict=True)])),
    "spearman": lambda x, y: float(np.mean([stats.spearmanr(*pair)[0] for pair in zip(x.T, y.T, strict=True)])),
}


@pytest.mark.parametrize("name", OF_KIND["multiclass"])
def test_scores_of_classes_are_those_of_the_repeated_rows(name: str) -> None:
    logits, targets = classified()
    found = of_classes(logits, targets)[name](counts())
    for count, value in zip(counts(), found, strict=True):
        again = np.repeat(np.arange(N), count)
        assert value == pytest.approx(BY_CLASS[name](logits[again], targets[again]), abs=1e-9)
    assert any(count[0] == 0 for count in counts())  # The rare class is not in all.


@pytest.mark.parametrize("numbers", [1, 2])
@pytest.mark.parametrize("name", OF_KIND["regression"])
def test_scores_of_numbers_are_those_of_the_repeated_rows(name: str, numbers: int) -> None:
    rng = np.random.default_rng(1)
    targets = 1e5 + np.round(10 * rng.normal(size=(N, numbers)), 0)  # Ties among them.
    predicted = np.round(targets + 5 * rng.normal(size=targets.shape), 0)
    found = of_numbers(predicted, targets)[name](counts())
    for count, value in zip(counts(), found, strict=True):
        again = np.repeat(np.arange(N), count)
        assert value == pytest.approx(BY_NUMBER[name](predicted[again], targets[again]), rel=1e-8, abs=1e-9)


def test_a_resample_with_nothing_to_explain_has_a_score_that_says_so() -> None:
    once = np.zeros((1, N), dtype=np.int32)
    once[0, 3] = 5
    numbers = of_numbers(np.arange(N)[:, None] * 1.0, np.arange(N)[:, None] * 2.0)
    assert [float(numbers[name](once)[0]) for name in ("r2", "pearson", "spearman")] == [0.0, 0.0, 0.0]
    assert float(of_classes(*classified())["auroc"](once)[0]) == 0.5
    flat = of_numbers(np.ones((N, 1)), np.arange(N)[:, None] * 2.0)
    assert flat["pearson"](counts()).tolist() == flat["spearman"](counts()).tolist() == [0.0] * CHECKED


def test_rows_that_have_no_value_do_not_count_in_a_mean() -> None:
    values = np.array([1.0, np.nan, 4.0])
    assert mean_of(values)(np.array([[1, 7, 1], [2, 0, 0], [0, 1, 0]], dtype=np.int32)).tolist() == [2.5, 1.0, 0.0]


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_file_has_the_score_that_ranks_beside_those_that_every_file_has(kind: TaskKind) -> None:
    for metric in OF_KIND[kind]:
        found = resamples_of("key", kept(kind, metric), task(kind, metric), SEED)
        expected = {*ALWAYS[kind], metric} - {"map_top20", "map_full"}
        assert set(found.scores) == set(found.halves) == {f"test/{name}" for name in expected}
        assert all(np.isfinite(values).all() for values in found.scores.values())


def kept(kind: TaskKind, metric: MetricName) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(2)
    logits = torch.randn(N, CLASSES, generator=draw)
    targets = {
        "multiclass": torch.arange(N) % CLASSES,
        "multilabel": (torch.rand(N, CLASSES, generator=draw) < 0.3).float(),
        "regression": torch.randn(N, CLASSES, generator=draw).double(),
    }[kind]
    return predictions(logits, targets, torch.arange(N), task(kind, metric))


@pytest.mark.parametrize(("name", "metric"), [("nll", NegativeLogLikelihood(multilabel=True)), ("perr", PERR())])
def test_what_a_sample_is_scored_by_is_kept_where_it_ranks(name: MetricName, metric: Any) -> None:
    found = resamples_of("key", kept("multilabel", name), task("multilabel", name), SEED)
    draw = torch.Generator().manual_seed(2)
    logits = torch.randn(N, CLASSES, generator=draw)
    targets = (torch.rand(N, CLASSES, generator=draw) < 0.3).float()
    for number, count in enumerate(counts()):
        again = torch.repeat_interleave(torch.arange(N), torch.from_numpy(count))
        metric.reset()
        metric.update(logits[again], targets[again])
        with warnings.catch_warnings(action="error"):
            assert found.scores[f"test/{name}"][number] == pytest.approx(float(metric.compute()), abs=1e-6)
