"""The form of a record is a contract: these tests fail when it changes, on purpose or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.records.record import ForeignRecord, InvalidRecord, Record, from_text, to_text

GOLDEN = Path(__file__).with_name("golden_record.json").read_text(encoding="utf-8")


def test_a_record_is_written_exactly_as_the_golden_file(record: Record) -> None:
    assert to_text(record) == GOLDEN
    assert record.key == "2d0821bf3999"
    assert record.metric == "test/accuracy"


def test_last_words_are_in_the_file_where_there_are_any(record: Record) -> None:
    failed = replace(record, status="failed", reason="its process died", log=["a", "b \u00e9"])
    assert from_text(to_text(failed)) == failed
    assert to_text(replace(failed, log=[])) == to_text(replace(record, status="failed", reason="its process died"))


def test_the_key_is_the_hash_of_the_spec(record: Record) -> None:
    assert record.run.key == record.key
    assert record.run.to_json() == record.spec


def test_a_spec_that_is_the_expected_runs_is_that_run_and_any_other_is_hashed(record: Record) -> None:
    run = record.run
    assert from_text(GOLDEN, run).run is run
    other = replace(run, seed=run.seed + 1)
    assert from_text(GOLDEN, other).run is not other
    assert from_text(GOLDEN, other) == from_text(GOLDEN) == record
    forged = changed(spec={**record.spec, "seed": 4})
    with pytest.raises(InvalidRecord, match="not the hash"):
        from_text(forged, run)


def test_a_record_of_a_later_version_that_reads_is_foreign_all_the_same() -> None:
    with pytest.raises(ForeignRecord, match="results version 99"):
        from_text(changed(results_version=99))


def test_a_record_of_before_costs_were_counted_reads_without() -> None:
    before = {name: value for name, value in json.loads(GOLDEN).items() if name != "cost"}
    assert from_text(json.dumps(before)).cost == {}


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(GOLDEN), **fields})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSON"),
        (GOLDEN[: len(GOLDEN) // 2], "JSON"),
        ("[]", "object"),
        (changed(surprise=1), "surprise"),
        (changed(status="perfect"), "status"),
        (changed(key="000000000000"), "not the hash"),
        (changed(schema=2), "schema 2"),
        (changed(scores={}), "without scores"),
        (changed(data=None), "without scores or data"),
        (changed(epochs_run="2"), "epochs_run"),
        (changed(cost={"memory_bytes": -1}), "cost.memory_bytes"),
        (changed(cost={"joules": {"processor": "much"}}), "cost.joules.processor"),
        (changed(spec={"dataset": 1}), "spec"),
        (changed(spec={**json.loads(GOLDEN)["spec"], "seed": 4}), "not the hash"),
        (GOLDEN.replace("0.7,", "NaN,"), "finite"),
        (GOLDEN.replace('"key"', '"kez"'), "key: Field required"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRecord, match=reason):
        from_text(text)


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_reads_as_a_valid_record(place: int, bit: int) -> None:
    damaged = bytearray(GOLDEN.encode())
    damaged[place] ^= 1 << bit
    try:
        record = from_text(bytes(damaged))
    except InvalidRecord:
        return
    assert record.run.key == record.key  # Whatever changed, the run it answers is the one its key names.


def test_a_number_that_is_not_finite_cannot_be_written(record: Record) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_text(replace(record, scores={"test/accuracy": float("nan")}))
