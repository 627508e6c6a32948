"""The mean average precision over all samples, where logits are counted in bins: how far from the exact one it is."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor

from fusionbench.metrics.float16_bins import BINS, above_and_in, bins_of, count, no_counts
from fusionbench.metrics.map_full import MAPFull

CLASSES = 6


def draw(samples: int, seed: int, *, classes: int = CLASSES, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """Logits as a trained model gives them: most far below zero, those of a sample's classes higher by a few."""
    rng = np.random.default_rng(seed)
    targets = rng.random((samples, classes)) < rng.uniform(0.0005, 0.05, classes)
    targets[0] = True
    logits = rng.normal(-7, 1.5, (samples, classes)) + targets * rng.uniform(2, 6, classes) + offset
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


def updated(metric: MAPFull, logits: Tensor, targets: Tensor, batch: int = 512) -> MAPFull:
    for start in range(0, len(logits), batch):
        metric.update(logits[start : start + batch], targets[start : start + batch])
    return metric


def binned(logits: Tensor, targets: Tensor, batch: int = 512, exact: int = 0) -> MAPFull:
    return updated(MAPFull(logits.shape[1], exact), logits, targets, batch)


def scikit_learns(logits: Tensor, targets: Tensor) -> float:
    occur = targets.any(0)
    return float(average_precision_score(targets[:, occur].numpy(), logits[:, occur].numpy(), average="macro"))


# --- how exact ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_score_of_logits_in_bins_is_scikit_learns_to_the_stated_error(seed: int) -> None:
    logits, targets = draw(40_000, seed)
    metric = binned(logits, targets)
    expected = scikit_learns(logits, targets)
    assert float(metric.compute()) == pytest.approx(expected, abs=2e-5)
    low, high = metric.bounds
    assert low < expected < high < low + 1e-3


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_of_logits_in_half_precision_nothing_is_lost(kind: torch.dtype) -> None:
    logits, targets = draw(5000, 1)
    rounded = logits.to(kind).float()
    metric = binned(rounded, targets)
    assert metric.compute() == updated(MAPFull(CLASSES), rounded, targets).compute()
    assert metric.bounds[0] == metric.bounds[1] == pytest.approx(scikit_learns(rounded, targets), abs=1e-6)


def test_ties_are_one_threshold_in_bins_too() -> None:
    logits, targets = draw(3000, 2)
    assert float(binned(logits.round(), targets).compute()) == pytest.approx(scikit_learns(logits.round(), targets))


def test_logits_far_from_zero_lose_digits_and_the_bounds_say_so() -> None:
    logits, targets = draw(20_000, 3, offset=-1000)
    metric = binned(logits, targets)
    value = float(metric.compute())
    low, high = metric.bounds
    assert low < scikit_learns(logits, targets) < high
    assert low < value < high
    assert high - low > 0.01


@given(
    st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([1e-9, 1e-4, 1.0, 300.0, 1e6]), st.floats(-500.0, 500.0)
)
@settings(max_examples=60, deadline=None)
def test_the_exact_score_is_always_within_the_bounds(samples: int, seed: int, size: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.tensor(size * rng.standard_normal((samples, CLASSES)) + offset, dtype=torch.float32)
    targets = torch.tensor(rng.random((samples, CLASSES)) < 0.4).float()
    metric = binned(logits, targets)
    value, exact = float(metric.compute()), float(updated(MAPFull(CLASSES), logits, targets).compute())
    low, high = metric.bounds
    assert low - 1e-6 <= exact <= high + 1e-6
    assert low - 1e-6 <= value <= high + 1e-6


# --- when ---------------------------------------------------------------------------------------------------------


def test_up_to_the_stated_number_of_logits_the_score_is_exact() -> None:
    logits, targets = draw(1000, 4)
    at, beyond = binned(logits, targets, exact=6000), binned(logits, targets, exact=5999)
    expected = scikit_learns(logits, targets)
    assert float(at.compute()) == pytest.approx(expected, abs=1e-7)
    assert at.bounds[0] == at.bounds[1] == pytest.approx(expected, abs=1e-12)
    beyond.compute()
    assert beyond.bounds[0] < beyond.bounds[1]
    assert (len(at.logits), len(beyond.logits)) == (2, 0)


@pytest.mark.parametrize("batch", [1, 77, 512, 2000])
@pytest.mark.parametrize("exact", [0, 1000, 9000])
def test_neither_batches_nor_when_they_are_counted_change_a_bit(batch: int, exact: int) -> None:
    logits, targets = draw(2000, 5)
    expected, found = binned(logits, targets), binned(logits, targets, batch, exact)
    assert found.compute() == expected.compute()
    assert found.bounds == expected.bounds


def test_no_more_than_the_stated_number_of_logits_is_kept() -> None:
    logits, targets = draw(4000, 6)
    metric = MAPFull(CLASSES, exact=6000)
    kept = []
    for start in range(0, 4000, 50):
        metric.update(logits[start : start + 50], targets[start : start + 50])
        kept.append(CLASSES * sum(map(len, metric.logits)))
    assert max(kept[:20]) == 6000
    assert max(kept[20:]) <= 6000 // 8


# --- states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1300, 1999, 100])
def test_merged_states_give_the_score_of_all_samples_and_leave_the_other_as_it_was(first: int) -> None:
    logits, targets = draw(2000, 7)
    one = binned(logits[:first], targets[:first], exact=1200)
    other = binned(logits[first:], targets[first:], exact=1200)
    alone = copy.deepcopy(other).compute()
    one.merge_state(other)
    whole = binned(logits, targets)
    assert one.compute() == whole.compute()
    assert one.bounds == whole.bounds
    updated(one, logits[:50], targets[:50])
    one.compute()
    assert other.compute() == alone


def test_reset_forgets_what_is_in_bins() -> None:
    logits, targets = draw(2000, 8)
    metric = binned(logits, targets)
    metric.compute()
    metric.reset()
    updated(metric, logits[:900], targets[:900])
    assert metric.compute() == binned(logits[:900], targets[:900]).compute()


def test_called_as_a_function_it_gives_the_score_of_a_batch_and_goes_on() -> None:
    logits, targets = draw(600, 9)
    metric = MAPFull(CLASSES, exact=0)
    batches = [metric(logits[start : start + 200], targets[start : start + 200]) for start in (0, 200, 400)]
    assert batches[1] == binned(logits[200:400], targets[200:400]).compute()
    assert metric.compute() == binned(logits, targets).compute()


@pytest.mark.parametrize("exact", [0, 2**27])
def test_a_nan_counts_where_its_class_occurs_alone(exact: int) -> None:
    logits, targets = draw(300, 10)
    targets[:, 2] = 0.0
    expected = binned(logits, targets, exact=exact).compute()
    logits[5, 2] = math.nan
    assert binned(logits, targets, exact=exact).compute() == expected
    logits[5, 3] = math.nan
    metric = binned(logits, targets, exact=exact)
    assert metric.compute().isnan()
    assert all(map(math.isnan, metric.bounds))


@pytest.mark.parametrize("exact", [0, 2**27])
def test_infinite_logits_are_the_highest_and_the_lowest(exact: int) -> None:
    logits = torch.tensor([[math.inf], [1.0], [-math.inf], [-math.inf], [0.5]])
    targets = torch.tensor([[0.0], [1.0], [1.0], [0.0], [0.0]])
    expected = (1 / 2 + 2 / 5) / 2
    assert float(binned(logits, targets, exact=exact).compute()) == pytest.approx(expected)


def test_nothing_to_find_scores_zero_in_bins_too() -> None:
    metric = binned(torch.randn(4, CLASSES), torch.zeros(4, CLASSES))
    assert (float(metric.compute()), metric.bounds) == (0.0, (0.0, 0.0))


# --- bins ---------------------------------------------------------------------------------------------------------

numbers = st.floats(width=32, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=40))
def test_a_higher_logit_is_never_in_a_lower_bin_and_equal_ones_share_theirs(values: list[float]) -> None:
    logits = torch.tensor(sorted(values), dtype=torch.float32)
    bins, centres = bins_of(logits)
    assert (bins.diff() >= 0).all()
    assert (bins.diff()[logits.diff() == 0] == 0).all()
    assert torch.equal(centres, logits.half())
    assert bins_of(centres.float())[0].tolist() == bins_of(logits.half().float())[0].tolist()


def test_every_float16_number_has_a_bin_of_its_own_and_nan_the_last() -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    bins, _ = bins_of(every)
    assert (bins[every.isnan()] == BINS - 1).all()
    told = bins[~every.isnan()].tolist()
    assert len(set(told)) == len(told) - 1 == BINS - 2 * 1023 - 1  # 0 and -0 are one.
    assert max(told) < BINS - 1


def test_counts_are_those_of_every_logit_in_turn() -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.integers(-40, 40, (3, 500)) / 7, dtype=torch.float32)
    logits[1, :20] = math.nan
    counts = no_counts(3).numpy()
    at_centres = np.sum([count(counts, part) for part in logits.tensor_split(4, 1)], 0)
    assert counts.sum(1).tolist() == [500, 500, 500]
    assert at_centres.tolist() == (logits.half() == logits).sum(1).tolist()
    for row, own in zip(logits, counts, strict=True):
        bins, _ = bins_of(row[~row.isnan()])
        above, inside = above_and_in(own, bins.numpy())
        assert above.tolist() == [int((bins > number).sum()) for number in bins]
        assert inside.tolist() == [int((bins == number).sum()) for number in bins]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for this process's memory")
def test_bins_in_which_nothing_is_take_no_memory() -> None:
    before = resident()
    counts = no_counts(2000)  # 500 MB, were it all in memory.
    count(counts.numpy(), torch.full((2000, 3), -5.0))
    assert resident() - before < 50
    assert int(counts[:, bins_of(torch.tensor(-5.0))[0]].sum()) == 6000


def resident() -> float:
    """MB of this process that no file holds."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))
