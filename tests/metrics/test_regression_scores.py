"""Scores of predicted numbers, against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as theirs

from fusionbench.core.task import TaskSpec
from fusionbench.metrics.regression import R2, Pearson, Spearman, midranks
from fusionbench.metrics.scores import computed, score_metrics


def found(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    scores = score_metrics(TaskSpec((), targets.shape[1], "regression"))
    for start in range(0, len(targets), 64):
        rows = slice(start, start + 64)
        scores.update(torch.from_numpy(predicted[rows]), torch.from_numpy(targets[rows]))
    return {name: float(value) for name, value in computed(scores).items()}


def expected(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    pairs = list(zip(predicted.T, targets.T, strict=True))
    return {
        "r2": theirs.r2_score(targets, predicted),
        "rmse": theirs.root_mean_squared_error(targets, predicted),
        "mae": theirs.mean_absolute_error(targets, predicted),
        "pearson": float(np.mean([stats.pearsonr(x, y)[0] for x, y in pairs])),
        "spearman": float(np.mean([stats.spearmanr(x, y)[0] for x, y in pairs])),
    }


@pytest.mark.parametrize("numbers", [1, 3])
@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (1e6, 77.0), (0.0, 1e-6)], ids=["unit", "far", "tiny"])
def test_all_are_those_of_scikit_learn_and_scipy_in_any_unit(numbers: int, mean: float, spread: float) -> None:
    rng = np.random.default_rng(numbers)
    targets = np.round(rng.normal(size=(200, numbers)), 1)  # Ties among them.
    predicted = np.round(targets + 0.5 * rng.normal(size=targets.shape), 1)
    targets, predicted = mean + spread * targets, mean + spread * predicted
    assert found(predicted, targets) == pytest.approx(expected(predicted, targets), rel=1e-6)


def test_predictions_that_are_all_the_same_go_with_nothing() -> None:
    targets = np.arange(10.0)[:, None]
    scores = found(np.full((10, 1), 4.5), targets)
    assert scores == pytest.approx({"r2": 0.0, "rmse": np.sqrt(8.25), "mae": 2.5, "pearson": 0.0, "spearman": 0.0})


@pytest.mark.parametrize("targets", [np.ones((9, 1)), np.stack([np.ones(9), np.arange(9.0)], 1), np.ones((1, 1))])
def test_numbers_to_predict_that_never_change_leave_errors_alone(targets: np.ndarray) -> None:
    scores = found(targets + np.linspace(0, 1, len(targets))[:, None], targets)
    assert set(scores) == {"rmse", "mae"}


def test_a_score_is_defined_again_once_targets_change() -> None:
    for metric in (R2(1), Pearson(1), Spearman(1)):
        metric.update(torch.arange(3.0)[:, None], torch.ones(3, 1))
        metric.compute()
        assert metric.undefined
        metric.reset()
        metric.update(torch.arange(3.0)[:, None], torch.arange(3.0)[:, None])
        assert float(metric.compute()) == pytest.approx(1.0)
        assert not metric.undefined


def test_ranks_are_scipys_also_where_their_sum_is_beyond_int32() -> None:
    values = torch.cat([torch.zeros(100_000), torch.randn(50, generator=torch.Generator().manual_seed(0))])
    np.testing.assert_array_equal(midranks(values).numpy(), stats.rankdata(values.numpy()))


def test_predictions_that_are_no_numbers_leave_errors_that_are_none() -> None:
    assert np.isnan(found(np.array([[1.0], [np.nan]]), np.array([[1.0], [2.0]]))["rmse"])
