"""Which scores a kind of task has, what they are called, and which way is better. No torch: plans and reports read it.

Whatever compares scores asks here: `good` is a score with its sign turned where lower is better, and `rank` is that of
a record, with what breaks its ties.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from fusionbench.core.task import MetricName, Multiclass, Multilabel, Regression, TaskKind


@dataclass(frozen=True)
class Score:
    """One score."""

    title: str
    """As the field writes it."""
    higher_is_better: bool = True
    least: float = 0.0
    """No score is lower; pictures cut intervals there."""
    most: float = 1.0


SCORES: Mapping[MetricName, Score] = {
    "accuracy": Score("accuracy"),
    "balanced_accuracy": Score("balanced accuracy"),
    "macro_f1": Score("macro-F1"),
    "auroc": Score("AUROC"),
    "nll": Score("NLL", higher_is_better=False, most=math.inf),
    "gap20": Score("GAP@20"),
    "hit1": Score("Hit@1"),
    "perr": Score("PERR"),
    "map_top20": Score("map top20"),
    "map_full": Score("map full"),
    "r2": Score("R2", least=-math.inf),
    "rmse": Score("RMSE", higher_is_better=False, most=math.inf),
    "mae": Score("MAE", higher_is_better=False, most=math.inf),
    "pearson": Score("Pearson's r", least=-1.0),
    "spearman": Score("Spearman's rho", least=-1.0),
}
OF_KIND: Mapping[TaskKind, tuple[MetricName, ...]] = {
    "multiclass": get_args(Multiclass),
    "multilabel": get_args(Multilabel),
    "regression": get_args(Regression),
}
"""All that a record of such a task has, as far as they are known there; each of them may rank."""
TIES: Mapping[TaskKind, MetricName] = {"multiclass": "nll", "multilabel": "nll", "regression": "rmse"}
"""What decides between two that rank alike."""
_BY_NAME: Mapping[str, Score] = {str(name): score for name, score in SCORES.items()}
_UNKNOWN = Score("score", least=-math.inf, most=math.inf)


def bare(name: str) -> str:
    """The score without the part it is of: `gap20` for `test/gap20`."""
    return name.rpartition("/")[2]


def score_of(name: str) -> Score:
    """What is known of a score, `rmse` or `test/rmse`; of one that is not ours, that higher is better."""
    return _BY_NAME.get(bare(name), _UNKNOWN)


def lower_is_better(name: str) -> bool:
    """Whether it is a loss or an error.

    >>> lower_is_better("test/rmse"), lower_is_better("accuracy")
    (True, False)
    """
    return not score_of(name).higher_is_better


def sign(name: str) -> int:
    """What to multiply a score by, so that higher is better: 1 or -1."""
    return -1 if lower_is_better(name) else 1


def good(name: str, value: float) -> float:
    """A score as whatever compares takes it: higher is better.

    >>> good("validation/nll", 0.25)
    -0.25
    """
    return -value if lower_is_better(name) else value


def rank(scores: Mapping[str, float], metric: str, part: str = "validation") -> tuple[float, float]:
    """What runs, epochs and trials are compared by: larger is better.

    Args:
        scores: by name, e.g. {"validation/accuracy": 0.9, "validation/nll": 0.3}.
        metric: which of them ranks, e.g. "accuracy".
        part: whose they are.

    Returns:
        The score that ranks, then the one that decides between equal ones; a lower one is better of both NLL and RMSE.
    """
    tie = next((name for name in dict.fromkeys(TIES.values()) if f"{part}/{name}" in scores), metric)
    first, second = (good(name, scores[f"{part}/{name}"]) for name in (metric, tie))
    return first, second
