"""Does a second training agree with the record? The rules, on records that are made up."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev
from typing import Any

import pytest

from fusionbench.records.agreement import allowed, compared
from fusionbench.records.record import Record

ENVIRONMENT = {"cpu": "Acme 9", "instructions": "avx2 fma", "torch": "2.14.1", "gpu": "", "variables": {}, "numpy": "2"}


@pytest.fixture
def then(record: Record) -> Record:
    curves = {"train/loss": [1.5, 0.7], "validation/nll": [1.2, 0.6]}
    return replace(record, curves=curves, environment=ENVIRONMENT, scores={"test/accuracy": 0.9, "test/nll": 0.4})


def elsewhere(record: Record, **changes: Any) -> Record:
    return replace(record, environment={**record.environment, **changes})


def moved(record: Record, score: str, by: float) -> Record:
    return replace(record, scores={**record.scores, score: record.scores[score] + by})


def seeds(record: Record, *accuracies: float) -> list[Record]:
    return [replace(record, scores={"test/accuracy": value}) for value in accuracies]


def test_the_same_numbers_are_confirmed_byte_for_byte(then: Record) -> None:
    verdict = compared(then, replace(then, train_seconds=99.0, finished="later"), [])
    assert (verdict.holds, verdict.bytes_are_equal, verdict.unlike) == (True, True, ())


@pytest.mark.parametrize("score", ["test/accuracy", "test/nll"])
def test_on_the_same_processor_one_changed_bit_is_too_much(then: Record, score: str) -> None:
    verdict = compared(moved(then, score, 1e-15), then, seeds(then, 0.1, 0.9))
    assert not verdict.holds
    assert [number.name for number in verdict.outside] == [score]
    assert verdict.outside[0].allowed == 0


def test_so_is_a_changed_validation_score_curve_or_number_of_epochs(then: Record) -> None:
    name, value = next(iter(then.validation.items()))
    changed = {
        name: replace(then, validation={**then.validation, name: value + 1e-9}),
        "train/loss after epoch 2": replace(then, curves={**then.curves, "train/loss": [1.5, 0.70001]}),
        "validation/nll after epoch 2": replace(then, curves={**then.curves, "validation/nll": [1.2]}),
        "epochs": replace(then, epochs_run=then.epochs_run + 1),
    }
    for what, now in changed.items():
        assert [number.name for number in compared(then, now, []).outside] == [what]


def test_a_score_that_is_new_since_is_no_difference(then: Record) -> None:
    assert compared(then, replace(then, scores={**then.scores, "test/brier": 0.1}), []).holds
    gone = compared(replace(then, scores={**then.scores, "test/brier": 0.1}), then, [])
    assert [(number.name, number.now) for number in gone.outside] == [("test/brier", None)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu": "Other 3"}, "processor: Acme 9 then, Other 3 now"),
        ({"instructions": "avx2 avx512f fma"}, "instruction sets: no others then, avx512f now"),
        ({"torch": "2.15.0"}, "torch: 2.14.1 then, 2.15.0 now"),
        ({"gpu": "H100"}, "GPU: none then, H100 now"),
        ({"variables": {"MKL_CBWR": "AVX2"}}, "variable MKL_CBWR: not set then, AVX2 now"),
    ],
)
def test_elsewhere_the_same_bytes_are_not_asked_for(then: Record, changes: dict[str, Any], words: str) -> None:
    verdict = compared(then, moved(elsewhere(then, **changes), "test/nll", 1e-9), [])
    assert (verdict.holds, verdict.bytes_are_equal, verdict.unlike) == (True, False, (words,))


def test_nor_with_other_threads_or_devices(then: Record) -> None:
    verdict = compared(then, replace(moved(then, "test/nll", 1e-9), threads=4, devices=2), [])
    assert verdict.holds
    assert verdict.unlike == ("threads: 1 then, 4 now", "devices: 1 then, 2 now")


def test_what_one_of_the_two_does_not_state_counts_as_the_same(then: Record) -> None:
    older = replace(then, environment={"cpu": "Acme 9", "torch": "2.14.1"})
    assert compared(older, then, []).unlike == ()
    assert not compared(moved(older, "test/nll", 1e-9), then, []).holds


def test_elsewhere_a_score_may_be_two_test_rows_away(then: Record) -> None:
    assert then.data is not None
    rows = then.data.counts["test"]
    other = elsewhere(then, torch="2.15.0")
    assert compared(then, moved(other, "test/accuracy", 1.99 / rows), []).holds
    far = compared(then, moved(other, "test/accuracy", -2.01 / rows), [])
    assert [number.name for number in far.outside] == ["test/accuracy"]
    assert far.outside[0].allowed == pytest.approx(2 / rows)


def test_or_three_standard_deviations_of_the_rows_other_seeds(then: Record) -> None:
    others, other = seeds(then, 0.90, 0.93, 0.88), elsewhere(then, torch="2.15.0")
    most = 3 * stdev([0.90, 0.93, 0.88])
    assert allowed(then, "test/accuracy", others) == pytest.approx(most)
    assert compared(then, moved(other, "test/accuracy", 0.99 * most), others).holds
    assert not compared(then, moved(other, "test/accuracy", 1.01 * most), others).holds


def test_a_record_that_was_altered_does_not_widen_what_is_allowed_to_it(then: Record) -> None:
    # With its own score among the six, three standard deviations would hold any change.
    others = seeds(then, 0.900, 0.902, 0.899, 0.901, 0.898)
    altered = moved(then, "test/accuracy", -0.3)
    assert not compared(altered, elsewhere(then, torch="2.15.0"), others).holds


def test_elsewhere_the_first_epoch_is_within_a_thousandth_and_later_ones_are_free(then: Record) -> None:
    other = elsewhere(then, torch="2.15.0")
    near = {"train/loss": [1.5009, 5.0], "validation/nll": [1.2, 9.0]}
    assert compared(then, replace(other, curves=near), []).holds
    far = compared(then, replace(other, curves={**near, "train/loss": [1.5011, 0.7]}), [])
    assert [number.name for number in far.outside] == ["train/loss after epoch 1"]


def test_other_data_are_another_cell(then: Record) -> None:
    assert then.data is not None
    data = replace(then.data, split_sha256="c" * 64, counts={**then.data.counts, "train": 7})
    verdict = compared(then, replace(then, data=data), [])
    assert not verdict.holds
    assert [words.split(":")[0] for words in verdict.data] == ["hash of the split", "rows"]


def test_a_run_that_ends_badly_this_time_confirms_nothing(then: Record) -> None:
    now = Record(then.key, then.spec, "diverged", "loss is nan", environment=ENVIRONMENT)
    verdict = compared(then, now, [])
    assert (verdict.holds, verdict.ended) == (False, "diverged: loss is nan")


def test_what_differs_elsewhere_is_told(then: Record) -> None:
    now = elsewhere(moved(then, "test/nll", 1e-9), numpy="3", commit="a" * 40)
    then = elsewhere(then, commit="b" * 40)
    assert compared(then, now, []).environment == (
        "numpy: 2 then, 3 now",
        "commit: bbbbbbbbbbbb then, aaaaaaaaaaaa now",
    )
