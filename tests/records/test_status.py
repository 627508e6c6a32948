"""How far a suite is, told from its folder by somebody who does not work on it."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fusionbench.core.files import HOST
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.records.claims import SESSION, STALE_S, Claims
from fusionbench.records.record import DataFacts, Record, to_text
from fusionbench.records.status import Status, SuiteFolder
from fusionbench.records.store import LATENCY, Store

SUITE = suite_of(parse_source("{name: mine, datasets: [digits], strategies: [concat, late], seeds: 3}", "mine.yaml"))
RUNS = list(SUITE.runs())
CONCAT, LATE = RUNS[0::2], RUNS[1::2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "mine", read_only=True)


def done(store: Store, run: RunSpec, seconds: int) -> Path:
    record = Record(
        run.key,
        run.to_json(),
        "done",
        task={"metric": "accuracy"},
        scores={"test/accuracy": 0.9},
        data=DataFacts("digits", "f" * 64, "s" * 64, {}),
        started="2026-01-01T00:00:00.000+00:00",
        finished=f"2026-01-01T00:00:{seconds:02}.000+00:00",
    )
    assert store.publish(record)
    return store.path(run)


def claimed(store: Store, run: RunSpec, age: float = 0.0, **facts: object) -> Path:
    lock = store.path(run, ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"host": "node7", "pid": 7, "since": 0, **facts}))
    os.utime(lock, (time.time() - age, time.time() - age))
    return lock


def look(store: Store) -> Status:
    return SuiteFolder(RUNS, store).look()


def test_runs_are_done_running_failed_or_waiting(store: Store) -> None:
    done(store, CONCAT[0], 10)
    claimed(store, CONCAT[1], worker=4711, done=12, total=20, ran_s=60.0, left_s=40.0, ago_s=5.0)
    store.publish(Record(LATE[0].key, LATE[0].to_json(), "failed", "RuntimeError: no idea"))
    store.path(LATE[0], ".log").write_text("Traceback")
    found = look(store)
    assert found.counts == {"done": 1, "running": 1, "failed": 1, "waiting": 3}
    (running,) = found.of("running")
    working = running.working
    assert working is not None
    assert (working.host, working.pid, working.done, working.total, working.left_s) == ("node7", 4711, 12, 20, 35.0)
    assert working.is_heard
    (failed,) = found.of("failed")
    assert (failed.reason, failed.has_log, failed.dataset, failed.strategy) == (
        *("RuntimeError: no idea", True),
        *("digits", "late"),
    )
    assert [one.run for one in found.of("waiting")] == [LATE[1], CONCAT[2], LATE[2]]
    assert not found.is_over


def test_what_is_left_is_reckoned_from_runs_of_the_same_row(store: Store) -> None:
    done(store, CONCAT[0], 10)
    done(store, CONCAT[1], 20)  # So the third takes 15 s.
    claimed(store, LATE[0], ran_s=20.0, left_s=30.0)
    claimed(store, LATE[1])  # It says nothing yet, so 50 s, as the one before; and so the third.
    found = look(store)
    assert found.work_s == 15 + 30 + 50 + 50
    assert found.left_s == found.work_s / 2
    done(store, LATE[2], 7)  # What was seen counts, not what was reckoned.
    assert look(store).work_s == 15 + 30 + 7


def test_the_end_is_not_before_that_of_the_longest_run(store: Store) -> None:
    for run in (*CONCAT, LATE[0]):
        done(store, run, 1)
    claimed(store, LATE[1], ran_s=1.0, left_s=5.0)
    claimed(store, LATE[2], ran_s=1.0, left_s=500.0)
    found = look(store)
    assert (found.work_s, found.left_s) == (505.0, 500.0)


def test_workers_that_wait_for_the_end_of_a_seed_are_counted_on(store: Store) -> None:
    for run in (CONCAT[0], LATE[0]):
        done(store, run, 10)
    claimed(store, LATE[1], ran_s=5.0, left_s=5.0, workers=2)
    assert look(store).left_s == (5 + 3 * 10) / 2
    claimed(store, CONCAT[1], host="node8", ran_s=5.0, left_s=5.0, workers=99)
    assert look(store).left_s == 10  # Four runs are open, and the longest takes 10 s.


def test_without_anybody_at_work_there_is_work_and_no_end(store: Store) -> None:
    assert (look(store).work_s, look(store).left_s) == (None, None)  # Nothing tells how long anything takes.
    done(store, CONCAT[0], 10)  # Of the same dataset, so the others too.
    assert (look(store).work_s, look(store).left_s) == (50.0, None)
    for run in (*CONCAT[1:], *LATE):
        done(store, run, 10)
    found = look(store)
    assert (found.work_s, found.left_s, found.is_over) == (0, 0.0, True)


def test_a_claim_whose_process_is_gone_is_told_and_its_run_waits(store: Store) -> None:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    lock = claimed(store, CONCAT[0], host=HOST, pid=process.pid)
    found = look(store)
    assert found.counts == {"waiting": 6}
    assert found.notes == (
        f"{lock}: process {process.pid} on host {HOST} is gone; the next `run` on these results takes over",
    )
    assert lock.exists()


def test_a_claim_that_was_not_heard_of_for_long_still_shows_but_nobody_counts_on_it(store: Store) -> None:
    done(store, LATE[0], 10)
    claimed(store, CONCAT[0], age=STALE_S * 2, left_s=30.0, ran_s=0.0)
    found = look(store)
    (working,) = [one.working for one in found.of("running") if one.working]
    assert (found.left_s, working.is_heard, round(working.heard_s)) == (None, False, STALE_S * 2)
    claimed(store, CONCAT[0], age=-3600, left_s=30.0, ran_s=0.0)  # Its clock is an hour ahead.
    assert look(store).left_s is not None


HOSTILE = {
    "empty": b"",
    "half": b'{"host": "no',
    "list": b"[]",
    "no_text": b"\xff\xfe",
    "number": b"7",
    "deep": b"[" * 100_000,
    "not_a_number": b'{"host": 1, "pid": "x", "left_s": NaN}',
    "words": b'{"host": "a", "pid": -1, "left_s": "soon"}',
    "infinite": f'{{"host": "{HOST}", "pid": 1e99, "done": Infinity, "total": {{}}}}'.encode(),
    "huge_pid": f'{{"host": "{HOST}", "pid": {10**40}, "worker": true}}'.encode(),
    "long": b'{"host": "' + b"x" * 9_000 + b'", "pid": 1}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_claim_holds_is_no_error(store: Store, name: str) -> None:
    lock = claimed(store, CONCAT[0])
    lock.write_bytes(HOSTILE[name])
    (running,) = look(store).of("running")
    assert running.working is not None
    assert len(running.working.host) <= 64
    assert not Claims().take(lock)


def test_looking_changes_nothing_and_sees_what_changed_since(store: Store) -> None:
    path = done(store, CONCAT[0], 10)
    path.write_text("{")
    folder = SuiteFolder(RUNS, store)
    notes = [folder.look().notes for _ in range(2)]
    assert notes[0] == notes[1]
    assert len(notes[0]) == 1
    assert "not a valid record" in notes[0][0]
    assert path.read_text() == "{"
    path.unlink()
    done(store, CONCAT[0], 10)
    done(store, LATE[0], 10)
    assert folder.look().counts == {"done": 2, "waiting": 4}


def test_a_run_that_is_done_again_is_running(store: Store) -> None:
    store.publish(Record(LATE[0].key, LATE[0].to_json(), "failed", "RuntimeError: no idea"))
    claimed(store, LATE[0])
    assert look(store).counts == {"running": 1, "waiting": 5}


def test_a_run_whose_measures_are_taken_is_done_and_not_all_is_over(store: Store) -> None:
    for run in RUNS:
        done(store, run, 10)
    claimed(store, LATE[0])
    found = look(store)
    assert (found.counts, found.left_s, found.is_over) == ({"done": 6}, 0.0, False)


def test_a_latency_session_that_is_taken_is_told(store: Store) -> None:
    for run in RUNS:
        done(store, run, 10)
    lock = store.folder(RUNS[0].dataset) / LATENCY / SESSION
    lock.parent.mkdir()
    lock.write_text(json.dumps({"host": "node7", "pid": 7, "done": 3, "total": 12}))
    found = look(store)
    ((folder, working),) = found.sessions
    assert (folder.name, working.done, working.total, found.is_over) == ("digits", 3, 12, False)


def test_a_record_is_read_once_until_its_file_is_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = done(store, CONCAT[0], 10)
    assert store.glance(CONCAT[0]).seconds == 10.0
    monkeypatch.setattr(store, "_any", lambda run: pytest.fail("read again"))
    assert store.status(CONCAT[0]) == "done"
    monkeypatch.undo()
    record = store.read(CONCAT[0])
    assert record is not None
    beside = path.with_suffix(".tmp")
    beside.write_text(to_text(replace(record, status="failed", reason="no", scores={})))
    beside.replace(path)
    assert store.status(CONCAT[0]) == "failed"


def test_a_claim_says_how_far_its_work_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    mine, lock = Claims(), store.path(CONCAT[0], ".lock")
    assert mine.take(lock)
    mine.note(lock, {"done": 1, "total": 20})
    assert "done" not in json.loads(lock.read_text())  # It was written a moment ago.
    clock[0] += 11
    mine.beat()
    assert {"done": 1, "ago_s": 11.0}.items() <= json.loads(lock.read_text()).items()
    size = lock.stat().st_size
    clock[0] += 3
    mine.note(lock, {"done": 2, "total": 20})
    assert {"done": 2, "ago_s": 0.0}.items() <= json.loads(lock.read_text()).items()
    assert lock.stat().st_size == size
    mine.note(store.path(LATE[0], ".lock"), {"done": 2})
    assert not store.path(LATE[0], ".lock").exists()


def test_a_claim_that_another_has_taken_over_is_left_to_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionbench.records.claims.BEAT_S", 0.0)
    mine, lock = Claims(), store.path(CONCAT[0], ".lock")
    assert mine.take(lock)
    claimed(store, CONCAT[0])
    theirs = lock.read_bytes()
    mine.beat()
    mine.release_all()
    assert lock.read_bytes() == theirs
    assert mine.take(store.path(LATE[0], ".lock"))
    store.path(LATE[0], ".lock").unlink()  # By hand, as the message to those who wait says.
    mine.beat()
    mine.release_all()
    assert not store.path(LATE[0], ".lock").exists()
