"""Scores: which way is better, and what is compared by them."""

from __future__ import annotations

import pytest

from fusionbench.core.scores import OF_KIND, SCORES, TIES, good, lower_is_better, rank, sign
from fusionbench.core.task import RANKED_BY, TaskKind, TaskSpec
from fusionbench.metrics.scores import score_metrics

LOWER = {"nll", "rmse", "mae"}


def test_losses_and_errors_are_better_low_and_all_others_high() -> None:
    assert {name for name in SCORES if lower_is_better(name)} == LOWER
    assert {sign(f"test/{name}") for name in LOWER} == {-1}
    assert good("validation/rmse", 2.0) == -2.0
    assert good("accuracy", 0.5) == 0.5
    assert not lower_is_better("test/somebody_elses")


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_kind_has_just_the_scores_that_are_computed_for_it_in_torchmetrics_own_direction(kind: TaskKind) -> None:
    metrics = score_metrics(TaskSpec((), 3, kind))
    assert set(metrics) == set(OF_KIND[kind]) <= set(SCORES)
    for name, metric in metrics.items():
        assert metric.higher_is_better == (not lower_is_better(name))
    assert RANKED_BY[kind] in OF_KIND[kind]
    assert TIES[kind] in OF_KIND[kind]


def test_a_task_that_names_no_metric_has_that_of_its_kind() -> None:
    assert TaskSpec((), 2).metric == "accuracy"
    assert TaskSpec((), 2, "multilabel").metric == "gap20"
    assert TaskSpec((), 1, "regression").metric == "r2"
    assert TaskSpec((), 1, "regression", "mae").metric == "mae"


def test_a_rank_is_larger_where_the_score_is_better_then_where_the_tie_breaker_is() -> None:
    one = {"validation/accuracy": 0.9, "validation/nll": 0.4, "validation/macro_f1": 0.7}
    other = {"validation/accuracy": 0.9, "validation/nll": 0.3, "validation/macro_f1": 0.6}
    assert rank(one, "accuracy") == (0.9, -0.4) < rank(other, "accuracy")
    assert rank(one, "macro_f1") > rank(other, "macro_f1")
    assert rank(other, "nll") == (-0.3, -0.3) > rank(one, "nll")
    assert rank({"test/mae": 3.0, "test/rmse": 4.0}, "mae", "test") == (-3.0, -4.0)


def test_a_score_that_is_not_there_ranks_nothing() -> None:
    with pytest.raises(KeyError, match="validation/auroc"):
        rank({"validation/nll": 0.3}, "auroc")
