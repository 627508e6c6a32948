"""Claims: one of several runners has a run, a dead one has nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from fusionbench.core.files import HOST
from fusionbench.records import claims
from fusionbench.records.claims import STALE_S, Claims


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "a" / "key.lock"


RACERS, LOCKS = 6, 400
"""Processes, and the dead locks they race for: enough that a window of microseconds shows."""


def held_by(lock: Path, host: str, pid: int, age: float = 0.0) -> None:
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"host": host, "pid": pid, "since": 0}))
    os.utime(lock, (time.time() - age, time.time() - age))


def dead_pid() -> int:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    assert process.pid is not None
    return process.pid


def test_a_claim_is_taken_once_until_it_is_given_back(lock: Path) -> None:
    first, second = Claims(), Claims()
    assert first.take(lock)
    assert not second.take(lock)
    second.release(lock)  # Not its own: nothing happens.
    assert lock.exists()
    first.release(lock)
    assert second.take(lock)
    second.release_all()
    assert not lock.exists()


def test_the_claim_of_a_dead_process_is_taken_over(lock: Path) -> None:
    held_by(lock, HOST, dead_pid())
    assert Claims().take(lock)
    assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_the_claim_of_a_living_process_is_respected_until_its_heartbeat_stops(lock: Path) -> None:
    held_by(lock, HOST, os.getpid(), age=STALE_S / 2)
    assert not Claims().take(lock)
    held_by(lock, HOST, os.getpid(), age=STALE_S * 2)
    assert Claims().take(lock)


def test_another_hosts_claim_is_judged_by_its_heartbeat_alone(lock: Path) -> None:
    held_by(lock, "elsewhere", dead_pid(), age=STALE_S / 2)
    assert not Claims().take(lock)
    held_by(lock, "elsewhere", os.getpid(), age=STALE_S * 2)
    assert Claims().take(lock)


def test_a_heartbeat_in_the_future_is_dead_when_it_does_not_change(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(lock, "elsewhere", 7, age=-3600)
    mine, clock = Claims(), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert not mine.take(lock)
    clock[0] += STALE_S - 1
    assert not mine.take(lock)
    os.utime(lock, (time.time() + 3600, time.time() + 3601))  # It lives: its clock is ahead.
    assert not mine.take(lock)
    clock[0] += STALE_S - 1
    assert not mine.take(lock)
    clock[0] += 2
    assert mine.take(lock)


def test_who_holds_a_lock_is_told_with_its_host_file_and_the_way_out(lock: Path) -> None:
    held_by(lock, "elsewhere", 7, age=30)
    assert claims.told(lock) == (
        f"process 7 on host elsewhere, last heard of 30 s ago; if it does not run any more, remove {lock}"
    )
    held_by(lock, "elsewhere", 7, age=-3600)
    assert "whose clock is 3600 s ahead" in claims.told(lock) or "whose clock is 3599 s ahead" in claims.told(lock)
    lock.write_text("half")
    assert "a process that does not say its name" in claims.told(lock)
    lock.unlink()
    assert "gone by now" in claims.told(lock)


def test_half_a_lock_is_left_alone_at_first_and_taken_later(lock: Path) -> None:
    lock.parent.mkdir(parents=True)
    lock.write_text('{"host"')
    assert not Claims().take(lock)
    os.utime(lock, (0, 0))
    assert Claims().take(lock)
    assert sorted(path.name for path in lock.parent.iterdir()) == [".claims.guard", "key.lock"]


def test_a_heartbeat_refreshes_the_lock(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.0)
    mine = Claims()
    mine.take(lock)
    os.utime(lock, (0, 0))
    mine.beat()
    assert time.time() - lock.stat().st_mtime < STALE_S


def try_all(folder: Path, barrier: object, queue: object) -> None:
    """One of several racing processes: which of the dead locks it got."""
    barrier.wait()  # type: ignore[attr-defined]
    mine = Claims()
    queue.put([number for number in range(LOCKS) if mine.take(folder / f"{number}.lock")])  # type: ignore[attr-defined]
    barrier.wait()  # type: ignore[attr-defined]


def test_of_racing_processes_exactly_one_takes_over_each_dead_lock(tmp_path: Path) -> None:
    dead = dead_pid()
    for number in range(LOCKS):
        held_by(tmp_path / f"{number}.lock", HOST, dead)
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(RACERS), context.Queue()
    racers = [context.Process(target=try_all, args=(tmp_path, barrier, queue)) for _ in range(RACERS)]
    for racer in racers:
        racer.start()
    taken = sorted(number for _ in racers for number in queue.get(timeout=60))
    for racer in racers:
        racer.join()
    assert taken == list(range(LOCKS))
