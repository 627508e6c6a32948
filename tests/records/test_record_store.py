"""Publishing: whole or not at all, and a done record stays."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionbench.core import files
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.records import resamples
from fusionbench.records.lint import lint
from fusionbench.records.record import RESULTS_VERSION, InvalidRecord, Record, to_text
from fusionbench.records.resamples import FIRST_VERSION, Resamples
from fusionbench.records.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "suite")


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_published_record_lies_where_its_names_say_and_reads_back(store: Store, record: Record) -> None:
    assert store.publish(record)
    assert below(store.root) == [f"digits/unimodal+modality=left/{record.key}.json"]
    assert store.read(record.run) == record


def test_a_done_record_is_never_replaced(store: Store, record: Record) -> None:
    store.publish(record)
    assert not store.publish(replace(record, train_seconds=99.0))
    assert store.read(record.run) == record


def test_a_failed_record_gives_way_to_a_done_one(store: Store, record: Record) -> None:
    failed = Record(record.key, record.spec, "failed", "RuntimeError: no")
    store.publish(failed)
    assert store.read(record.run) == failed
    assert store.publish(record)
    assert store.read(record.run) == record


def test_an_invalid_file_is_moved_aside_named_and_not_counted(store: Store, record: Record) -> None:
    path = store.path(record.run)
    path.parent.mkdir(parents=True)
    for number in (1, 2):
        path.write_text("{")
        assert store.read(record.run) is None
        assert path.with_name(f"{path.name}.invalid-{number}").read_text() == "{"
        assert f"invalid-{number}" in store.set_aside[-1]
    assert store.publish(record)


def test_a_record_in_another_runs_place_is_not_taken_for_it(store: Store, record: Record) -> None:
    other = replace(record.run, seed=4)
    path = store.path(other)
    path.parent.mkdir(parents=True)
    path.write_text(to_text(record))
    assert store.read(other) is None
    assert "invalid-1" in store.set_aside[0]


def test_an_older_record_does_not_count_and_is_put_aside_with_all_beside_it(store: Store, record: Record) -> None:
    path = store.path(record.run)
    path.parent.mkdir(parents=True)
    path.write_text(to_text(replace(record, results_version=RESULTS_VERSION - 1)))
    store.publish_measure(record.run, "size", {"fusion_parameters": 10})
    assert (store.read(record.run), store.status(record.run), store.is_wanted(record.run)) == (None, "old", True)
    assert "results version" in next(lint(store))
    assert store.publish(record)
    assert store.status(record.run) == "done"
    assert store.read_measure(record.run, "size") is None
    old = f".version-{RESULTS_VERSION - 1}"
    assert sorted(one.name for one in path.parent.glob(f"*{old}")) == [
        f"{record.key}.json{old}",
        f"{record.key}.size.json{old}",
    ]
    assert store.set_aside == []


@pytest.mark.parametrize("fact", ["schema", "results_version"])
def test_a_record_of_another_fusionbench_is_named_and_left_where_it_is(store: Store, record: Record, fact: str) -> None:
    path = store.path(record.run)
    path.parent.mkdir(parents=True)
    text = json.dumps({**json.loads(to_text(record)), fact: 3, "something_new": 1})
    path.write_text(text)
    assert (store.read(record.run), store.status(record.run)) == (None, "foreign")
    for look in range(2):
        with pytest.raises(UserError, match=f"{fact.replace('_', ' ')} 3.*use that fusionbench, or another --results"):
            store.is_wanted(record.run)
        assert len(store.set_aside) == 1, look
    assert "left where it is" in store.set_aside[0]
    assert below(store.root) == [f"digits/unimodal+modality=left/{record.key}.json"]
    assert path.read_text() == text


@pytest.mark.parametrize("fails", ["write", "link"])
def test_a_full_disk_leaves_nothing_behind(
    store: Store, record: Record, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync" if fails == "write" else "link", full)
    with pytest.raises(OSError, match="No space left"):
        store.publish(record)
    assert below(store.root) == []


def test_a_file_system_without_hard_links_still_publishes_once(
    store: Store, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert store.publish(record)
    assert not store.publish(replace(record, train_seconds=99.0))
    assert store.read(record.run) == record


def test_what_a_killed_process_left_is_swept_and_a_living_ones_is_not(store: Store, record: Record) -> None:
    store.publish(record)
    folder = store.path(record.run).parent
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    dead = folder / f".x.json.{files.HOST}-{process.pid}-0123abcd.tmp"
    alive = folder / f".x.json.{files.HOST}-{os.getpid()}-0123abcd.tmp"
    elsewhere = folder / ".x.json.anotherhost-1-0123abcd.tmp"
    for path in (dead, alive, elsewhere):
        path.write_text("half")
    store.sweep()
    assert [path.exists() for path in (dead, alive, elsewhere)] == [False, True, True]


def test_measures_and_predictions_lie_beside_the_record(store: Store, record: Record) -> None:
    run = record.run
    assert store.read_measure(run, "size") is None
    store.publish_measure(run, "size", {"fusion_parameters": 10})
    store.publish_arrays(run, {"logits": np.zeros((2, 3), dtype=np.float32)})
    found = store.read_measure(run, "size")
    assert found is not None
    assert found["fusion_parameters"] == 10
    with np.load(store.path(run, ".npz")) as arrays:
        assert arrays["logits"].shape == (2, 3)


def test_a_damaged_measure_is_moved_aside(store: Store, record: Record) -> None:
    store.publish_measure(record.run, "size", {"fusion_parameters": 10})
    path = store.path(record.run, ".size.json")
    path.write_text(path.read_text().replace(record.key, "0" * 12))
    assert store.read_measure(record.run, "size") is None
    assert path.with_name(f"{path.name}.invalid-1").exists()


def resampled(record: Record) -> Resamples:
    return Resamples(record.key, "a" * 64, "rows", 360, 3, {"test/accuracy": [0.9, 2 / 3, 1.0]})


def test_resamples_lie_beside_the_record_in_fixed_decimals(store: Store, record: Record) -> None:
    assert store.read_resamples(record.run) is None
    store.publish_resamples(record.run, resampled(record))
    found = store.read_resamples(record.run)
    assert found == replace(resampled(record), scores={"test/accuracy": [0.9, 0.66667, 1.0]})
    assert len(store.path(record.run, ".resamples.json").read_bytes().splitlines()) == 1


def test_halves_lie_with_the_resamples_and_older_files_without_them_are_read(store: Store, record: Record) -> None:
    made = replace(resampled(record), halves={"test/accuracy": [2 / 3, 1.0]})
    text = resamples.to_text(made)
    assert resamples.from_text(text).halves == {"test/accuracy": [0.66667, 1.0]}
    older = resamples.to_text(resampled(record))
    assert "halves" not in older
    assert resamples.from_text(older).halves == {}
    for wrong in ({"test/accuracy": [0.5]}, {"test/hit1": [0.5, 0.5]}):
        with pytest.raises(InvalidRecord, match="not two halves of every score"):
            resamples.from_text(resamples.to_text(replace(made, halves=wrong)))


@pytest.mark.parametrize("change", [("0.9,", ""), ('"rows"', '"films"'), ('"schema":1', '"schema":2'), ("{", "")])
def test_damaged_resamples_are_moved_aside_and_named(store: Store, record: Record, change: tuple[str, str]) -> None:
    store.publish_resamples(record.run, resampled(record))
    path = store.path(record.run, ".resamples.json")
    path.write_text(path.read_text().replace(*change))
    assert store.read_resamples(record.run) is None
    assert path.with_name(f"{path.name}.invalid-1").exists()
    assert "not counted" in store.set_aside[0]


def test_resamples_of_another_run_are_not_taken_for_its_own(store: Store, record: Record) -> None:
    store.publish_resamples(record.run, replace(resampled(record), key="0" * 12))
    assert store.read_resamples(record.run) is None


def test_lint_names_a_done_record_without_its_resamples(store: Store, record: Record) -> None:
    store.publish(replace(record, results_version=FIRST_VERSION))
    (line,) = lint(store)
    assert f"{record.key}.resamples.json: missing; remove the record" in line
    store.publish_resamples(record.run, resampled(record))
    assert list(lint(store)) == []
    path = store.path(record.run, ".resamples.json")
    path.write_text(path.read_text().replace(record.key, "0" * 12))
    assert "holds the resamples of 000000000000" in next(lint(store))


def test_lint_asks_no_resamples_of_what_has_none(store: Store, record: Record) -> None:
    store.publish(Record(record.key, record.spec, "failed", "RuntimeError: no", results_version=FIRST_VERSION))
    assert list(lint(store)) == []


def test_latency_sessions_come_back_oldest_first(store: Store, record: Record) -> None:
    for started in ("2026-02", "2026-01"):
        store.publish_latency(record.run.dataset, {"started": started, "rows": []})
    assert [session["started"] for session in store.read_latency(record.run.dataset, record.run.track)] == [
        "2026-01",
        "2026-02",
    ]


def test_lint_names_what_is_invalid_or_out_of_place(store: Store, record: Record) -> None:
    store.publish(record)
    store.publish_resamples(record.run, resampled(record))
    assert list(lint(store)) == []
    path = store.path(record.run)
    path.rename(path.with_name("000000000000.json"))
    (path.parent / "111111111111.json").write_text("{}")
    lines = list(lint(store))
    assert len(lines) == 2
    assert "belongs at" in lines[0]


def test_a_record_of_a_network_that_is_not_here_is_no_mistake(store: Store, record: Record) -> None:
    spec = {**record.spec, "strategy": {"name": "gone.py:Net", "options": {}, "source": "0" * 64}}
    gone = Record(RunSpec.from_json(spec).key, spec, "failed", "RuntimeError: no")
    place = store.root / "digits" / "gone.Net" / f"{gone.key}.json"
    place.parent.mkdir(parents=True)
    place.write_text(to_text(gone))
    assert list(lint(store)) == []
