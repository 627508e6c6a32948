"""Which scores a task has, by the names that records use."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from fusionbench.core.scores import TIES
from fusionbench.core.task import TaskSpec
from fusionbench.metrics.auroc import MacroAUROC
from fusionbench.metrics.balanced_accuracy import BalancedAccuracy
from fusionbench.metrics.gap import GAP
from fusionbench.metrics.hit import HitAtOne
from fusionbench.metrics.map_full import MAPFull
from fusionbench.metrics.mean_average_precision import MAPTopK
from fusionbench.metrics.nll import NegativeLogLikelihood
from fusionbench.metrics.perr import PERR
from fusionbench.metrics.regression import MAE, R2, RMSE, Pearson, Spearman

WIDEST = 2e-3
"""Bounds of `map_full` that are further apart are told to readers."""


def score_metrics(task: TaskSpec, *, only: str | None = None, ties: bool = True) -> MetricCollection:
    """All scores of the task; with `only`, that one and what breaks its ties: enough for model selection.

    Without `ties`, that one alone.

    Multiclass and multilabel ones are updated with logits (B, C) and targets as a batch has them, those of a regression
    with values and targets (B, C) in the data's unit, from wherever both are counted.
    """
    scores = _OF_KIND[task.kind](task.classes)
    wanted = scores if only is None else (only, TIES[task.kind]) if ties else (only,)
    chosen = {name: metric for name, metric in scores.items() if name in wanted}
    # compute_groups would share one state between metrics that happen to look alike after the first batch.
    return MetricCollection(chosen, compute_groups=False)  # type: ignore[arg-type]


def computed(scores: MetricCollection) -> dict[str, Tensor]:
    """The scores of what was seen, but for those that are not defined there: the AUROC of a class without samples."""
    found = scores.compute()
    return {name: value for name, value in found.items() if not getattr(scores[name], "undefined", False)}


def score_notes(scores: MetricCollection) -> list[str]:
    """What a reader has to know of scores once they are computed, a sentence each."""
    found = []
    for name, metric in scores.items():
        if isinstance(metric, MAPFull) and metric.bounds[1] - metric.bounds[0] > WIDEST:
            low, high = metric.bounds
            found.append(f"{name} is only known to lie between {low:.4f} and {high:.4f}: its logits are far from zero")
    return found


def _multiclass(classes: int) -> dict[str, Metric]:
    return {
        "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
        "balanced_accuracy": BalancedAccuracy(classes),
        "macro_f1": MulticlassF1Score(classes, average="macro", validate_args=False),
        "auroc": MacroAUROC(classes),
        "nll": NegativeLogLikelihood(multilabel=False),
    }


def _multilabel(classes: int) -> dict[str, Metric]:
    return {
        "gap20": GAP(top=20),
        "hit1": HitAtOne(),
        "perr": PERR(),
        "map_top20": MAPTopK(classes, top=20),
        "map_full": MAPFull(classes),
        "nll": NegativeLogLikelihood(multilabel=True),
    }


def _regression(numbers: int) -> dict[str, Metric]:
    return {
        "r2": R2(numbers),
        "rmse": RMSE(numbers),
        "mae": MAE(numbers),
        "pearson": Pearson(numbers),
        "spearman": Spearman(numbers),
    }


_OF_KIND = {"multiclass": _multiclass, "multilabel": _multilabel, "regression": _regression}
