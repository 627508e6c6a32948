"""Calibration: whether the model's probabilities can be trusted, what one temperature mends, and what it may leave out.

    ECE     sum over 15 equal bins of confidence of (rows in the bin / rows) * |accuracy - mean confidence|
    NLL     as the score of that name
    Brier   mean over samples of sum over classes of (p_c - y_c)^2
    T       of softmax(logits / T), multilabel sigmoid(logits / T): the T of the lowest NLL on validation rows
    risk    errors among the share of test rows (coverage) that the model is surest of; AURC: its mean over all rows

Multiclass: confidence is the highest probability. Multilabel: NLL and Brier over all classes; ECE and its bins over the
model's own 20 highest classes (`ece_top20`), since of thousands of classes nearly all are a sure and right no; the risk
is 1 - Hit@1. ECE is torchmetrics', which counts rows of confidence 1 as a bin of their own.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599; Brier 1950, "Verification of
forecasts expressed in terms of probability"; Geifman & El-Yaniv 2017, "Selective classification for deep neural
networks", arXiv:1705.08500.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from fusionbench.core.task import TaskSpec
from fusionbench.data.orders import InOrder
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import sample_losses
from fusionbench.measure.trained import Trained
from fusionbench.metrics.ranking import top_classes

needs, kinds = "trained", ("multiclass", "multilabel")
paper = "guo2017calibration, brier1950verification, geifman2017selective"
BINS, TOP = 15, 20
COVERAGES = [round(0.1 * tenth, 1) for tenth in range(1, 11)]
LOWEST, HIGHEST = 0.02, 50.0
"""Temperatures that are looked at."""
MOST = 2**25
"""Logits in memory at a time: of thousands of classes, that many rows are taken, the same for every strategy."""


def measure(trained: Trained) -> dict[str, Any]:
    """Calibration on the test rows; temperature from validation rows."""
    parts = trained.inputs.parts
    assert parts is not None
    rows = max(1, MOST // trained.task.classes)
    with trained.opened():
        validation = _said(trained, trained.some(parts.validation, rows, "calibration"))
        test = _said(trained, trained.some(parts.test, rows, "calibration"))
    temperature = fitted_temperature(*validation, trained.task)
    return {
        "rows": len(test[1]),
        "validation_rows": len(validation[1]),
        "bins": BINS,
        "temperature": temperature,
        "test": scores_of(*test, trained.task),
        "test_at_temperature": scores_of(test[0] / temperature, test[1], trained.task),
        "reliability": reliability(*entries(*test, trained.task)),
        "reliability_at_temperature": reliability(*entries(test[0] / temperature, test[1], trained.task)),
        "selective": selective(*surest(*test, trained.task)),
    }


def scores_of(logits: Tensor, targets: Tensor, task: TaskSpec) -> dict[str, float]:
    """NLL, Brier and ECE: logits (N, C), targets as a batch has them."""
    name = "ece" if task.kind == "multiclass" else f"ece_top{TOP}"
    return {
        "nll": _nll(logits, targets, task),
        "brier": _brier(logits, targets, task),
        name: _ece(logits, targets, task),
    }


def fitted_temperature(logits: Tensor, targets: Tensor, task: TaskSpec) -> float:
    """The temperature of the lowest NLL on these rows, as a number of 12 digits."""

    def loss(log_temperature: float) -> float:
        return _nll(logits / float(np.exp(log_temperature)), targets, task)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6})
    return float(f"{float(np.exp(found.x)):.12g}")


def entries(logits: Tensor, targets: Tensor, task: TaskSpec) -> tuple[Tensor, Tensor]:
    """Confidences in [0, 1] and whether each was right, bool, (E,) both: what a reliability diagram is made of."""
    if task.kind == "multiclass":
        confidence, said = logits.softmax(1).max(1)
        return confidence, said == targets
    top = top_classes(logits, min(TOP, logits.shape[1]))
    return logits.gather(1, top).sigmoid().flatten(), (targets.gather(1, top) > 0).flatten()


def surest(logits: Tensor, targets: Tensor, task: TaskSpec) -> tuple[Tensor, Tensor]:
    """For each row how sure the model is of its first class, and whether that is right, (N,) both."""
    if task.kind == "multiclass":
        return entries(logits, targets, task)
    top = top_classes(logits, 1)
    return logits.gather(1, top)[:, 0].sigmoid(), targets.gather(1, top)[:, 0] > 0


def reliability(confidence: Tensor, right: Tensor) -> list[dict[str, Any]]:
    """By bin: its borders, how many entries it has, their mean confidence and the share of them that is right.

    A bin has its lower border in it, the last its upper one too. An empty one says None.
    """
    borders = torch.linspace(0, 1, BINS + 1)
    place = (torch.bucketize(confidence, borders, right=True) - 1).clamp(max=BINS - 1)
    counts = torch.bincount(place, minlength=BINS)
    sums = [torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, x.double()) for x in (confidence, right)]
    found: list[dict[str, Any]] = []
    for low, high, count, sure, hits in zip(borders, borders[1:], counts, *sums, strict=False):
        n = int(count)
        mean, share = (float(sure) / n, float(hits) / n) if n else (None, None)
        edges = {"from": round(float(low), 6), "to": round(float(high), 6)}
        found.append({**edges, "count": n, "confidence": mean, "accuracy": share})
    return found


def selective(confidence: Tensor, right: Tensor) -> dict[str, Any]:
    """Risk at each coverage, and its mean over all coverages (AURC); rows that are as sure as others share a place.

    Args:
        confidence: (N,).
        right: bool (N,).
    """
    sure, wrong = confidence.double().numpy(), (~right).double().numpy()
    order = np.argsort(-sure, kind="stable")
    # Of rows that are equally sure none goes first: each counts as the mean of them.
    _, group = np.unique(-sure[order], return_inverse=True)
    errors = (np.bincount(group, weights=wrong[order]) / np.bincount(group))[group]
    risk = np.cumsum(errors) / np.arange(1, len(errors) + 1)
    at = [max(1, round(share * len(risk))) - 1 for share in COVERAGES]
    return {"coverage": COVERAGES, "risk": [float(risk[place]) for place in at], "aurc": float(risk.mean())}


def _said(trained: Trained, rows: Rows) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and targets of rows."""
    order = InOrder(rows)

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        for number, some in enumerate(order):
            batch = trained.data.batch(some)
            trained.tell(number, len(order))
            yield trained.outputs(batch), batch.targets

    logits, targets = zip(*parts(), strict=True)
    return torch.cat(logits), torch.cat(targets)


def _nll(logits: Tensor, targets: Tensor, task: TaskSpec) -> float:
    return float(sample_losses(logits, targets, task).double().mean())


def _brier(logits: Tensor, targets: Tensor, task: TaskSpec) -> float:
    if task.kind == "multiclass":
        chances, truth = logits.softmax(1), torch.nn.functional.one_hot(targets, logits.shape[1])
    else:
        chances, truth = logits.sigmoid(), targets
    return float((chances - truth).double().square().sum(1).mean())


def _ece(logits: Tensor, targets: Tensor, task: TaskSpec) -> float:
    if task.kind == "multiclass":
        return float(multiclass_calibration_error(logits.softmax(1), targets, logits.shape[1], n_bins=BINS))
    confidence, right = entries(logits, targets, task)
    return float(binary_calibration_error(confidence, right.int(), n_bins=BINS))
