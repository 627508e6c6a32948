"""The scores of a task, by the names that records use, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from fusionbench.core.task import MetricName, ModalitySpec, TaskKind, TaskSpec
from fusionbench.metrics.map_full import MAPFull
from fusionbench.metrics.nll import NegativeLogLikelihood, sample_nll
from fusionbench.metrics.scores import computed, score_metrics, score_notes


def task(kind: TaskKind, metric: MetricName, classes: int) -> TaskSpec:
    return TaskSpec((ModalitySpec("a", "vector", (2,)),), classes, kind, metric)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_multiclass_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((300, 4)).astype(np.float32)
    targets = rng.integers(0, 4, 300)
    scores = score_metrics(task("multiclass", "accuracy", 4))
    for start in range(0, 300, 64):
        scores.update(torch.tensor(logits[start : start + 64]), torch.tensor(targets[start : start + 64]))
    found = {name: float(value) for name, value in scores.compute().items()}
    guesses = logits.argmax(1)
    assert found == {
        "accuracy": pytest.approx(accuracy_score(targets, guesses), abs=1e-6),
        "balanced_accuracy": pytest.approx(balanced_accuracy_score(targets, guesses), abs=1e-6),
        "macro_f1": pytest.approx(f1_score(targets, guesses, average="macro"), abs=1e-6),
        "auroc": pytest.approx(roc_auc_score(targets, softmax(logits), multi_class="ovr"), abs=1e-6),
        "nll": pytest.approx(log_loss(targets, softmax(logits.astype(np.float64))), abs=1e-5),
    }


def test_macro_f1_leaves_out_a_class_that_is_neither_there_nor_guessed_as_scikit_learn_does() -> None:
    logits = torch.tensor([[3.0, 0.0, -1.0], [0.0, 2.0, -1.0], [0.0, 2.0, -1.0]])
    targets = torch.tensor([0, 1, 0])
    scores = score_metrics(task("multiclass", "accuracy", 3))
    scores.update(logits, targets)
    expected = f1_score(targets, logits.argmax(1), average="macro")
    assert float(scores.compute()["macro_f1"]) == pytest.approx(expected, abs=1e-6)


def test_auroc_of_two_classes_is_the_usual_one_also_where_a_softmax_of_float32_is_1() -> None:
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 2, 200)
    logits = np.stack([np.zeros(200), 30 + 5 * targets + rng.normal(size=200)], 1).astype(np.float32)
    scores = score_metrics(task("multiclass", "accuracy", 2))
    scores.update(torch.tensor(logits), torch.tensor(targets))
    assert float(scores.compute()["auroc"]) == pytest.approx(roc_auc_score(targets, logits[:, 1]), abs=1e-6)


def test_a_class_that_no_sample_has_leaves_no_auroc_and_does_not_count_as_wrong() -> None:
    logits = torch.tensor([[3.0, 0.0, -1.0], [0.0, 2.0, -1.0], [0.0, 0.0, 2.0]])
    targets = torch.tensor([0, 1, 1])
    scores = score_metrics(task("multiclass", "accuracy", 3))
    scores.update(logits, targets)
    found = {name: float(value) for name, value in computed(scores).items()}
    assert set(found) == {"accuracy", "balanced_accuracy", "macro_f1", "nll"}
    assert found["balanced_accuracy"] == pytest.approx(0.75)  # One of one, one of two.
    scores.reset()
    scores.update(logits, torch.tensor([0, 1, 2]))
    assert float(computed(scores)["auroc"]) == 1.0


def test_multilabel_nll_is_the_sum_over_classes_of_scikit_learns_log_loss() -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((200, 5)).astype(np.float32)
    targets = (rng.random((200, 5)) < 0.3).astype(np.float32)
    metric = NegativeLogLikelihood(multilabel=True)
    for start in range(0, 200, 48):
        metric.update(torch.tensor(logits[start : start + 48]), torch.tensor(targets[start : start + 48]))
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = sum(log_loss(targets[:, c], chances[:, c]) for c in range(5))
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("rows", "classes"), [(300, 3862), (511, 517), (3, 40_001), (20, 7), (0, 5)])
def test_multilabel_nll_of_a_few_rows_at_a_time_is_that_of_all_at_once_to_the_bit(rows: int, classes: int) -> None:
    drawn = torch.Generator().manual_seed(4)
    logits = torch.randn(rows, classes, generator=drawn) * 4
    targets = (torch.rand(rows, classes, generator=drawn) < 0.01).float()
    whole = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    assert torch.equal(sample_nll(logits, targets), whole)


def test_nll_of_logits_too_large_for_probabilities_stays_finite() -> None:
    metric = NegativeLogLikelihood(multilabel=False)
    metric.update(torch.tensor([[1000.0, 0.0]]), torch.tensor([1]))
    assert float(metric.compute()) == 1000.0


def test_a_multilabel_task_has_the_scores_of_youtube8m() -> None:
    scores = score_metrics(task("multilabel", "gap20", 30))
    logits = torch.randn(40, 30, generator=torch.Generator().manual_seed(2))
    targets = (logits > 1).float()
    scores.update(logits, targets)
    found = {name: float(value) for name, value in scores.compute().items()}
    assert set(found) == {"gap20", "hit1", "perr", "map_top20", "map_full", "nll"}
    # A label wherever the logit is above 1: a perfect ranking, its best 20 of 30 classes hold all labels.
    assert found["gap20"] == found["perr"] == found["map_top20"] == found["map_full"] == 1.0
    assert found["hit1"] == pytest.approx(float((targets.sum(1) > 0).float().mean()))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (task("multiclass", "accuracy", 3), {"accuracy", "nll"}),
        (task("multiclass", "auroc", 3), {"auroc", "nll"}),
        (task("multiclass", "nll", 3), {"nll"}),
        (task("multilabel", "gap20", 3), {"gap20", "nll"}),
        (task("regression", "r2", 3), {"r2", "rmse"}),
    ],
)
def test_model_selection_computes_the_ranking_score_and_nll_alone(spec: TaskSpec, expected: set[str]) -> None:
    assert set(score_metrics(spec, only=spec.metric)) == expected
    assert set(score_metrics(spec, only=spec.metric, ties=False)) == {spec.metric}


@pytest.mark.parametrize(("offset", "told"), [(0.0, False), (-1000.0, True)])
def test_a_score_that_is_known_roughly_is_told_with_its_bounds(offset: float, told: bool) -> None:
    scores = score_metrics(task("multilabel", "gap20", 30))
    found = scores["map_full"]
    assert isinstance(found, MAPFull)
    found.exact = 0
    logits = torch.randn(3000, 30, generator=torch.Generator().manual_seed(3)) + offset
    scores.update(logits, (torch.rand(3000, 30, generator=torch.Generator().manual_seed(4)) < 0.1).float())
    scores.compute()
    scores.reset()
    words = f"map_full is only known to lie between {found.bounds[0]:.4f} and {found.bounds[1]:.4f}"
    assert [note.partition(":")[0] for note in score_notes(scores)] == [words] * told


def test_scores_that_are_exact_have_no_notes() -> None:
    scores = score_metrics(task("multilabel", "gap20", 30))
    scores.update(torch.randn(50, 30) - 1000, torch.ones(50, 30))
    scores.compute()
    assert score_notes(scores) == score_notes(score_metrics(task("multiclass", "accuracy", 3))) == []
