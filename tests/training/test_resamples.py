"""Resamples: every score is that of the repeated rows themselves, by scikit-learn and torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score
from torch import Tensor

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.metrics.gap import GAP
from fusionbench.metrics.hit import HitAtOne
from fusionbench.training import resamples
from fusionbench.training.predictions import predictions
from fusionbench.training.resamples import RESAMPLES, drawn, halved, resamples_of, seed_of

VECTOR = (ModalitySpec("x", "vector", (1,)),)
MULTICLASS = TaskSpec(VECTOR, 4)
MULTILABEL = TaskSpec(VECTOR, 40, "multilabel", "gap20")
SEED = seed_of("f" * 64, "0" * 64)


def multiclass(n: int = 60, classes: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    targets = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 2 * np.eye(classes)[targets]
    return {"ids": np.arange(100, 100 + n), "targets": targets, "logits": logits.astype(np.float32)}


def multilabel(n: int = 50, levels: int = 6) -> tuple[Tensor, Tensor]:
    """Logits of so few values that ties abound, and targets of which some rows have none."""
    rng = np.random.default_rng(n)
    logits, targets = rng.integers(0, levels, (n, 40)), rng.random((n, 40)) < 0.06
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


def counts_of(n: int, clusters: np.ndarray | None = None) -> np.ndarray:
    places = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    return np.concatenate(list(drawn(places, int(places.max()) + 1, SEED, RESAMPLES)))


@pytest.mark.parametrize("clusters", [None, np.arange(60) // 7], ids=["rows", "clusters"])
def test_accuracy_is_that_of_the_repeated_rows(clusters: np.ndarray | None) -> None:
    made = multiclass()
    found = resamples_of("key", made, MULTICLASS, SEED, clusters)
    assert list(found.scores) == ["test/accuracy"]
    assert len(found.scores["test/accuracy"]) == RESAMPLES
    for count, value in zip(counts_of(60, clusters), found.scores["test/accuracy"], strict=True):
        again = np.repeat(np.arange(60), count)
        assert value == pytest.approx(accuracy_score(made["targets"][again], made["logits"].argmax(1)[again]))


def test_gap_and_hit_at_one_are_those_of_the_repeated_rows() -> None:
    logits, targets = multilabel()
    found = resamples_of("key", predictions(logits, targets, torch.arange(50), MULTILABEL), MULTILABEL, SEED)
    assert list(found.scores) == ["test/gap20", "test/hit1"]
    for number, count in enumerate(counts_of(50)):
        again = torch.repeat_interleave(torch.arange(50), torch.from_numpy(count))
        gap, hit = GAP(top=20), HitAtOne()
        gap.update(logits[again], targets[again])
        hit.update(logits[again], targets[again])
        assert found.scores["test/gap20"][number] == pytest.approx(float(gap.compute()), abs=1e-6)
        assert found.scores["test/hit1"][number] == pytest.approx(float(hit.compute()), abs=1e-6)


def test_gap_is_scikit_learns_average_precision_of_the_weighted_pool() -> None:
    logits, targets = multilabel(30, levels=1000)
    kept = predictions(logits, targets, torch.arange(30), MULTILABEL)
    found = resamples_of("key", kept, MULTILABEL, SEED)
    for count, value in zip(counts_of(30)[:50], found.scores["test/gap20"], strict=False):
        weights = np.repeat(count, 20)  # Each row's 20 entries.
        inside = (weights * kept["hit"].ravel()).sum()
        precision = average_precision_score(kept["hit"].ravel(), kept["logit"].ravel(), sample_weight=weights)
        assert value == pytest.approx(precision * inside / (count * kept["positives"]).sum())


def test_a_resample_with_nothing_to_find_scores_zero() -> None:
    logits, _ = multilabel()
    kept = predictions(logits, torch.zeros(50, 40), torch.arange(50), MULTILABEL)
    found = resamples_of("key", kept, MULTILABEL, SEED)
    assert set(found.scores["test/gap20"]) == {0.0}


def test_rows_of_a_cluster_are_drawn_together_and_as_many_clusters_as_there_are() -> None:
    films = np.array([5, 5, 5, 9, 2, 2, 7, 9, 9, 9])
    counts = counts_of(10, films)
    for film in set(films.tolist()):
        assert (counts[:, films == film] == counts[:, films == film][:, :1]).all()
    firsts = [films.tolist().index(film) for film in set(films.tolist())]
    assert (counts[:, firsts].sum(1) == 4).all()
    found = resamples_of("key", multiclass(10), MULTICLASS, SEED, films)
    assert (found.unit, found.units, found.resamples) == ("clusters", 4, RESAMPLES)


def halves_of(n: int) -> np.ndarray:
    return halved(np.arange(n), n, SEED)


def test_halves_are_scored_as_their_rows_alone_are() -> None:
    made = multiclass()
    found = resamples_of("key", made, MULTICLASS, SEED)
    logits, targets = multilabel()
    ranked = resamples_of("key", predictions(logits, targets, torch.arange(50), MULTILABEL), MULTILABEL, SEED)
    assert (list(found.halves), list(ranked.halves)) == (["test/accuracy"], ["test/gap20", "test/hit1"])
    for number, half in enumerate(halves_of(60).astype(bool)):
        right = accuracy_score(made["targets"][half], made["logits"].argmax(1)[half])
        assert found.halves["test/accuracy"][number] == pytest.approx(right)
    for number, half in enumerate(torch.from_numpy(halves_of(50)).bool()):
        gap, hit = GAP(top=20), HitAtOne()
        gap.update(logits[half], targets[half])
        hit.update(logits[half], targets[half])
        assert ranked.halves["test/gap20"][number] == pytest.approx(float(gap.compute()), abs=1e-6)
        assert ranked.halves["test/hit1"][number] == pytest.approx(float(hit.compute()), abs=1e-6)


@pytest.mark.parametrize("n", [2, 7, 1000])
def test_halves_share_no_row_and_leave_none_out(n: int) -> None:
    first, second = halves_of(n)
    assert ((first + second) == 1).all()
    assert (first.sum(), second.sum()) == ((n + 1) // 2, n // 2)


def test_rows_of_a_cluster_are_in_one_half() -> None:
    films = np.array([0, 0, 0, 3, 1, 1, 2, 3, 3, 3])
    first, second = halved(films, 4, SEED)
    assert ((first + second) == 1).all()
    assert all(len(set(first[films == film].tolist())) == 1 for film in range(4))
    assert len(set(films[first == 1].tolist())) == 2


def test_a_single_unit_has_no_halves() -> None:
    assert resamples_of("key", multiclass(5), MULTICLASS, SEED, np.zeros(5)).halves == {}


def test_the_spread_is_the_standard_error_and_that_of_clusters_where_rows_are_copies() -> None:
    right = np.arange(500) % 5 > 0  # An accuracy of 0.8.
    logits = np.stack([~right, right], 1).astype(np.float32)
    made: dict[str, Any] = {"ids": np.arange(500), "targets": np.ones(500, dtype=np.int64), "logits": logits}
    targets = np.ones(2000, dtype=np.int64)
    copies: dict[str, Any] = {"ids": np.arange(2000), "targets": targets, "logits": np.repeat(logits, 4, axis=0)}
    error = np.sqrt(0.8 * 0.2 / 500)
    for found, part in (
        (resamples_of("key", made, MULTICLASS, SEED), 1.0),
        (resamples_of("key", copies, MULTICLASS, SEED, np.arange(2000) // 4), 1.0),
        (resamples_of("key", copies, MULTICLASS, SEED), 0.5),
    ):
        # Four standard errors of a standard deviation of 400.
        assert np.std(found.scores["test/accuracy"]) == pytest.approx(part * error, rel=4 / np.sqrt(800))


def test_the_draw_is_of_the_rows_and_not_of_the_order_nor_of_what_fits_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, films = multiclass(), np.arange(60) // 7
    found = resamples_of("key", made, MULTICLASS, SEED, films)
    order = np.random.default_rng(0).permutation(60)
    mixed = {name: values[order] for name, values in made.items()}
    assert resamples_of("key", mixed, MULTICLASS, SEED, films[order]) == found
    monkeypatch.setattr(resamples, "AT_ONCE", 7 * 60)
    assert resamples_of("key", made, MULTICLASS, SEED, films) == found
    assert resamples_of("key", made, MULTICLASS, SEED, None).draw != found.draw
    assert resamples_of("key", made, MULTICLASS, seed_of("e" * 64, "0" * 64), films).draw != found.draw


def test_what_is_drawn_is_pinned() -> None:
    """A draw that changed would no longer pair off with published files: it takes a new results_version."""
    assert counts_of(8)[:2].tolist() == [[1, 3, 1, 0, 0, 2, 1, 0], [1, 0, 0, 2, 2, 2, 0, 1]]


def test_how_rows_are_halved_is_pinned() -> None:
    assert halves_of(12)[0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1]
