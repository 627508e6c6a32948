"""Calibration against torchmetrics, scikit-learn, scipy's own curve of temperatures and cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.measure.calibration import entries, fitted_temperature, reliability, scores_of, selective, surest

MODALITIES = (ModalitySpec("a", "vector", (2,)),)
FOUR = TaskSpec(MODALITIES, 4)
MANY = TaskSpec(MODALITIES, 30, "multilabel")


def multiclass(rows: int = 4000, sharper: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits whose own chances drew the targets, then made sharper: the temperature that mends them is `sharper`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 4)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = [rng.choice(4, p=row) for row in chances]
    return torch.from_numpy(logits * sharper).float(), torch.tensor(targets)


def multilabel(rows: int = 500) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(size=(rows, 30))).float()
    return 3 * logits, (torch.from_numpy(rng.random((rows, 30))) < logits.sigmoid()).float()


def test_scores_of_classes_are_those_of_torchmetrics_and_scikit_learn() -> None:
    logits, targets = multiclass()
    found, chances = scores_of(logits, targets, FOUR), logits.double().softmax(1).numpy()
    ece = MulticlassCalibrationError(4, n_bins=15)
    ece.update(logits, targets)
    assert found["ece"] == float(ece.compute())
    assert found["nll"] == pytest.approx(log_loss(targets, chances, labels=range(4)), rel=1e-6)
    one_of = sum(brier_score_loss((targets == c).int(), chances[:, c]) for c in range(4))
    assert found["brier"] == pytest.approx(one_of, rel=1e-6)


def test_scores_of_labels_are_over_all_classes_but_for_the_ece_of_the_twenty_highest() -> None:
    logits, targets = multilabel()
    found, chances = scores_of(logits, targets, MANY), logits.double().sigmoid().numpy()
    assert set(found) == {"nll", "brier", "ece_top20"}
    per_class = [log_loss(targets[:, c], chances[:, c], labels=[0, 1]) for c in range(30)]
    assert found["nll"] == pytest.approx(sum(per_class), rel=1e-6)
    assert found["brier"] == pytest.approx(sum(brier_score_loss(targets[:, c], chances[:, c]) for c in range(30)))
    top = logits.topk(20).indices
    ece = BinaryCalibrationError(n_bins=15)
    ece.update(logits.gather(1, top).sigmoid().flatten(), targets.gather(1, top).flatten().int())
    assert found["ece_top20"] == pytest.approx(float(ece.compute()), abs=1e-7)


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_is_what_made_the_logits_sharper(sharper: float) -> None:
    logits, targets = multiclass(sharper=sharper)
    found = fitted_temperature(logits, targets, FOUR)
    assert found == pytest.approx(sharper, rel=0.06)
    best = scores_of(logits / found, targets, FOUR)["nll"]
    for factor in (0.98, 1.02):
        assert best < scores_of(logits / (factor * found), targets, FOUR)["nll"]


def test_the_bins_of_the_diagram_give_the_ece() -> None:
    logits, targets = multiclass()
    bins = reliability(*entries(logits, targets, FOUR))
    assert (bins[0]["from"], bins[-1]["to"], len(bins)) == (0.0, 1.0, 15)
    apart = sum(one["count"] * abs(one["accuracy"] - one["confidence"]) for one in bins if one["count"])
    assert sum(one["count"] for one in bins) == len(targets)
    assert apart / len(targets) == pytest.approx(scores_of(logits, targets, FOUR)["ece"], abs=1e-6)
    assert all(one["confidence"] is None and one["accuracy"] is None for one in bins if not one["count"])


def test_risk_against_coverage_by_hand() -> None:
    confidence = torch.tensor([0.9, 0.8, 0.8, 0.1, 0.7])
    right = torch.tensor([True, False, True, False, True])
    # In order: right; two as sure as each other, of which one is wrong; right; wrong.
    risk = [0, 0.5 / 2, 1 / 3, 1 / 4, 2 / 5]
    found = selective(confidence, right)
    assert found["aurc"] == pytest.approx(np.mean(risk))
    assert found["risk"][-1] == pytest.approx(0.4)
    assert found["risk"][found["coverage"].index(0.6)] == pytest.approx(1 / 3)


def test_of_several_labels_the_risk_is_that_of_the_first_class() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0], [0.0, 3.0, 1.0]])
    confidence, right = surest(logits, torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]), MANY)
    assert confidence.tolist() == torch.tensor([2.0, 3.0]).sigmoid().tolist()
    assert right.tolist() == [False, True]
