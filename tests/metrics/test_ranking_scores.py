"""GAP, Hit@1, PERR and both mean average precisions against slow loops, scikit-learn and cases worked by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics import Metric

from fusionbench.metrics import map_full
from fusionbench.metrics.gap import GAP
from fusionbench.metrics.hit import HitAtOne
from fusionbench.metrics.map_full import MAPFull
from fusionbench.metrics.mean_average_precision import MAPTopK
from fusionbench.metrics.perr import PERR
from fusionbench.metrics.ranking import top_classes

CLASSES = 7
METRICS: dict[str, Callable[[], Metric]] = {
    "gap": lambda: GAP(top=3),
    "gap_all": lambda: GAP(top=100),
    "hit1": HitAtOne,
    "perr": PERR,
    "map_top": lambda: MAPTopK(CLASSES, top=3),
    "map_full": lambda: MAPFull(CLASSES),
}


def draw(samples: int, seed: int, *, levels: int | None = None, rate: float = 0.3) -> tuple[Tensor, Tensor]:
    """Logits and targets of CLASSES classes; with `levels`, so few different logits that ties abound."""
    rng = np.random.default_rng(seed)
    shape = (samples, CLASSES)
    logits = np.asarray(rng.standard_normal(shape) if levels is None else rng.integers(0, levels, shape) - 1)
    targets = rng.random((samples, CLASSES)) < rate
    targets[0, 0] = True
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


def score(metric: Metric, logits: Tensor, targets: Tensor, batch: int | None = None) -> float:
    for start in range(0, len(logits), batch or len(logits)):
        stop = start + (batch or len(logits))
        metric.update(logits[start:stop], targets[start:stop])
    return float(metric.compute())


# --- the published definitions, entry by entry --------------------------------------------------------------------


def slow_top(row: list[float], count: int) -> list[int]:
    return sorted(range(len(row)), key=lambda c: (-row[c], c))[:count]


def slow_ap(entries: list[tuple[float, bool]], positives: int) -> float:
    """Sum of the precision down to every hit; equal scores count as one step of the list."""
    total = 0.0
    for own, hit in entries:
        if hit:
            listed = [right for other, right in entries if other >= own]
            total += sum(listed) / len(listed)
    return total / positives if positives else 0.0


def slow_scores(logits: Tensor, targets: Tensor, top: int = 3) -> dict[str, float]:
    rows, truth = logits.tolist(), [[bool(t) for t in row] for row in targets.tolist()]
    best = [slow_top(row, top) for row in rows]
    pool = [(row[c], right[c]) for row, right, chosen in zip(rows, truth, best, strict=True) for c in chosen]
    everything = [(s, t) for row, right in zip(rows, truth, strict=True) for s, t in zip(row, right, strict=True)]
    perr = []
    for row, right in zip(rows, truth, strict=True):
        if any(right):
            perr.append(sum(right[c] for c in slow_top(row, sum(right))) / sum(right))
    by_class, by_class_full = [], []
    for c in range(CLASSES):
        positives = sum(right[c] for right in truth)
        listed = [
            (row[c], right[c]) for row, right, chosen in zip(rows, truth, best, strict=True) for k in chosen if k == c
        ]
        if positives:
            by_class.append(slow_ap(listed, positives))
            by_class_full.append(
                slow_ap([(row[c], right[c]) for row, right in zip(rows, truth, strict=True)], positives)
            )
    positives = sum(map(sum, truth))
    return {
        "gap": slow_ap(pool, positives),
        "gap_all": slow_ap(everything, positives),
        "hit1": sum(right[slow_top(row, 1)[0]] for row, right in zip(rows, truth, strict=True)) / len(rows),
        "perr": sum(perr) / len(perr),
        "map_top": sum(by_class) / len(by_class),
        "map_full": sum(by_class_full) / len(by_class_full),
    }


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_the_definitions_worked_out_entry_by_entry(name: str, levels: int | None, seed: int) -> None:
    logits, targets = draw(40, seed, levels=levels)
    assert score(METRICS[name](), logits, targets, 16) == pytest.approx(slow_scores(logits, targets)[name], abs=1e-6)


# --- scikit-learn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [None, 4])
def test_map_full_is_scikit_learns_macro_average(levels: int | None) -> None:
    logits, targets = draw(200, 1, levels=levels)
    expected = average_precision_score(targets.numpy(), logits.numpy(), average="macro")
    assert score(MAPFull(CLASSES), logits, targets) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("levels", [None, 4])
def test_gap_over_all_classes_is_scikit_learns_micro_average(levels: int | None) -> None:
    logits, targets = draw(200, 2, levels=levels)
    expected = average_precision_score(targets.numpy(), logits.numpy(), average="micro")
    assert score(GAP(top=CLASSES), logits, targets) == pytest.approx(expected, abs=1e-6)


def test_map_top_over_all_classes_is_map_full_where_every_class_occurs() -> None:
    logits, targets = draw(200, 3)
    assert targets.sum(0).min() > 0
    assert score(MAPTopK(CLASSES, top=CLASSES), logits, targets) == score(MAPFull(CLASSES), logits, targets)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_gap_of_two_videos_by_hand() -> None:
    logits = torch.tensor([[4.0, 3.0, 0.0, 9.0], [1.0, 2.0, 0.5, -1.0]])
    targets = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    # Pool of the top 2: 9 miss, 4 hit, 2 hit, 1 miss; the label on class 2 of the first video is out of reach.
    assert score(GAP(top=2), logits, targets) == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_perr_looks_as_deep_as_a_video_has_labels_and_skips_one_without() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert score(PERR(), logits, targets) == pytest.approx((1 / 2 + 1) / 2)


def test_hit_at_one_counts_a_video_without_labels_as_a_miss() -> None:
    logits = torch.tensor([[3.0, 2.0], [3.0, 2.0]])
    assert score(HitAtOne(), logits, torch.tensor([[1.0, 0.0], [0.0, 0.0]])) == 0.5


def test_a_class_that_no_video_has_is_left_out_of_both_means() -> None:
    logits = torch.tensor([[3.0, 2.0], [4.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert score(MAPTopK(2, top=1), logits, targets) == 1.0
    assert score(MAPFull(2), logits, targets) == 1.0


@pytest.mark.parametrize("name", ["gap", "perr", "map_top", "map_full"])
def test_nothing_to_find_scores_zero(name: str) -> None:
    assert score(METRICS[name](), torch.randn(4, CLASSES), torch.zeros(4, CLASSES)) == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_logits_whose_sigmoid_is_one_are_still_told_apart(name: str) -> None:
    logits, targets = draw(60, 4)
    assert torch.sigmoid(40 + logits).eq(1).all()
    assert score(METRICS[name](), 40 + logits, targets) == pytest.approx(score(METRICS[name](), logits, targets))


@pytest.mark.parametrize("name", METRICS)
def test_a_logit_that_is_no_number_makes_no_number_of_the_score(name: str) -> None:
    logits, targets = draw(12, 5)
    logits[3, 0] = math.nan
    targets[3, 0] = 1.0
    assert math.isnan(score(METRICS[name](), logits, targets))


# --- properties ---------------------------------------------------------------------------------------------------

cases = st.tuples(st.integers(2, 30), st.integers(0, 10_000), st.sampled_from([None, 2, 4]), st.floats(0.0, 0.9))


@pytest.mark.parametrize("name", METRICS)
@given(case=cases, batch=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_batches_and_order_of_samples_do_not_count(
    name: str, case: tuple[int, int, int | None, float], batch: int
) -> None:
    samples, seed, levels, rate = case
    logits, targets = draw(samples, seed, levels=levels, rate=rate)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    whole = score(METRICS[name](), logits, targets)
    assert score(METRICS[name](), logits[order], targets[order], batch) == pytest.approx(whole, abs=1e-7)
    assert 0 <= whole <= 1 + 1e-6


@pytest.mark.parametrize("name", METRICS)
@given(case=cases)
@settings(max_examples=15, deadline=None)
def test_only_the_order_of_logits_counts(name: str, case: tuple[int, int, int | None, float]) -> None:
    samples, seed, levels, rate = case
    logits, targets = draw(samples, seed, levels=levels, rate=rate)
    # Ranks over all entries: any other monotone map of the logits.
    places = np.unique(logits.numpy(), return_inverse=True)[1].reshape(logits.shape)
    ranks = torch.tensor(places, dtype=torch.float32)
    assert score(METRICS[name](), ranks, targets) == score(METRICS[name](), logits, targets)


@pytest.mark.parametrize("name", ["gap_all", "hit1", "perr", "map_full"])
def test_the_labels_themselves_as_logits_score_one(name: str) -> None:
    _, targets = draw(50, 6)
    targets[:, 1] = 1.0
    assert score(METRICS[name](), targets * 2 - 1, targets) == 1.0


@given(st.integers(1, 12), st.integers(0, 10_000), st.integers(1, CLASSES), st.sampled_from([None, 1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_top_classes_are_those_of_a_stable_sort(samples: int, seed: int, count: int, levels: int | None) -> None:
    logits, _ = draw(samples, seed, levels=levels)
    expected = np.argsort(-logits.numpy(), axis=1, kind="stable")[:, :count]
    assert top_classes(logits, count).tolist() == expected.tolist()


def test_thousands_of_equal_logits_stay_in_the_order_of_their_classes() -> None:
    assert top_classes(torch.zeros(2, 5000), 3000).tolist() == [list(range(3000))] * 2


def test_a_logit_that_is_no_number_is_on_top_even_beside_ties() -> None:
    logits = torch.tensor([[1.0, 1.0, 1.0, math.nan], [math.nan, 0.0, math.nan, math.nan], [2.0, 1.0, 1.0, 1.0]])
    beside_ties, mostly_nan, plain = top_classes(logits, 2).tolist()
    assert set(beside_ties) == {0, 3}
    assert 1 not in mostly_nan
    assert plain == [0, 1]


@pytest.mark.parametrize("chunk", [1, 3, CLASSES])
def test_map_full_takes_classes_in_chunks_of_any_size(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = draw(50, 12)
    expected = score(MAPFull(CLASSES), logits, targets)
    monkeypatch.setattr(map_full, "CHUNK", chunk)
    assert score(MAPFull(CLASSES), logits, targets, 16) == expected


def test_fewer_classes_than_the_top_are_all_taken() -> None:
    logits, targets = draw(30, 7)
    assert score(GAP(top=20), logits, targets) == score(GAP(top=CLASSES), logits, targets)
    assert score(MAPTopK(CLASSES, top=20), logits, targets) == score(MAPTopK(CLASSES, top=CLASSES), logits, targets)


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets_all_samples(name: str) -> None:
    metric = METRICS[name]()
    first, second = draw(20, 8), draw(20, 9)
    score(metric, *first)
    metric.reset()
    assert score(metric, *second) == score(METRICS[name](), *second)


@pytest.mark.parametrize("name", METRICS)
def test_a_batch_that_is_overwritten_later_does_not_move_the_score(name: str) -> None:
    logits, targets = draw(20, 10)
    expected = score(METRICS[name](), logits, targets)
    metric = METRICS[name]()
    metric.update(logits, targets)
    logits.zero_()
    targets.zero_()
    assert float(metric.compute()) == expected


@pytest.mark.parametrize("name", METRICS)
def test_two_processes_give_what_one_gives(name: str) -> None:
    logits, targets = draw(31, 11, levels=3)
    one, other = METRICS[name](), METRICS[name]()
    one.update(logits[:20], targets[:20])
    other.update(logits[20:], targets[20:])
    one.merge_state(other)  # Joins states as a gather over processes does.
    assert float(one.compute()) == pytest.approx(score(METRICS[name](), logits, targets), abs=1e-7)
