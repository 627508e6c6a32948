"""Killed, interrupted, two at once: nothing that was finished is lost, damaged or done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from small_suites import Bench, is_record, kill_tree

KILLS = int(os.environ.get("FUSIONBENCH_TEST_KILLS", "5"))
"""At how many random moments a suite is killed; fewer in CI than when it is measured (benchmarks/kills.py)."""
STARTS = int(os.environ.get("FUSIONBENCH_TEST_STARTS", "2"))
"""Likewise, how often two runners are started together."""


def leftovers(bench: Bench, results: str) -> list[str]:
    """Locks, temporary and moved-aside files."""
    kinds = ("*.lock", ".*.tmp", "*.invalid-*", "*.log")
    return [str(path) for kind in kinds for path in (bench.folder / results).rglob(kind)]


def test_a_suite_killed_at_random_moments_ends_as_if_undisturbed(bench: Bench) -> None:
    assert bench.run("smoke", results="undisturbed") == 0
    undisturbed = bench.scores("undisturbed")
    rng = random.Random(20_261_123)
    kills, round_number = 0, 0
    while kills < KILLS:
        results = f"killed-{round_number}"
        done = len(bench.records(results))
        process = bench.start("smoke", results=results)
        if rng.random() < 0.7:  # Else at a moment of starting up or preparing.
            bench.wait_for_records(process, min(done + 1, len(undisturbed)), results)
        time.sleep(rng.uniform(0, 1.5))
        finished = {path: path.read_bytes() for path in (bench.folder / results).rglob("*.json")}
        if process.poll() is None:
            kill_tree(process)
            kills += 1
        else:
            process.communicate()
            assert bench.scores(results) == undisturbed
            round_number += 1
        assert all(path.read_bytes() == content for path, content in finished.items())
        assert {path.stem for path in finished if is_record(path)} <= bench.records(results).keys()
        assert len(bench.records(results)) >= done
    results = f"killed-{round_number}"
    assert bench.run("smoke", results=results) == 0
    assert bench.scores(results) == undisturbed
    assert leftovers(bench, results) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_suite_stops_cleanly_and_goes_on(bench: Bench, number: signal.Signals) -> None:
    suite = bench.suite(strategies=[*bench.own("slow"), "concat"], seeds=3, budget={"epochs": 3})
    process = bench.start(suite, "--workers", "2")
    bench.wait_for_records(process, 2)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on" in output
    assert "Traceback" not in output
    assert leftovers(bench, "results") == []
    done = bench.scores()
    assert 2 <= len(done) < 6
    assert bench.run(suite) == 0
    assert len(bench.scores()) == 6
    assert done.items() <= bench.scores().items()


@pytest.mark.parametrize("_", range(STARTS))
def test_two_runners_at_once_share_the_suite(bench: Bench, _: int) -> None:
    latency = {"name": "latency", "options": {"seconds": 0.3, "batch_sizes": [1], "threads": [1]}}
    suite = bench.suite(strategies=["concat", "late", "sum"], seeds=4, measures=["size", latency])
    both = [bench.start(suite, "--workers", "1") for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(bench.records()) == 12
    trained = [sum(": done" in line for line in output.splitlines()) for output in outputs]
    assert sum(trained) == 12, outputs
    assert len(list((bench.folder / "results" / "tiny" / "digits" / "latency").glob("*.json"))) == 1
    assert leftovers(bench, "results") == []


def test_workers_end_when_their_launcher_is_killed(bench: Bench) -> None:
    suite = bench.suite(strategies=bench.own("slow"), seeds=1, budget={"epochs": 400})
    process = bench.start(suite, "--workers", "1")
    while not list((bench.folder / "results").rglob("*.lock")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 30
    while time.monotonic() < end and group_lives(process.pid):
        time.sleep(0.1)
    assert not group_lives(process.pid)
    assert bench.records() == {}


def group_lives(group: int) -> bool:
    """Whether any process of the group still runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(state_of(int(name)) not in ("Z", "X", "") for name in processes() if in_group(name, group))


def processes() -> list[str]:
    return [path.name for path in Path("/proc").iterdir()]


def in_group(name: str, group: int) -> bool:
    try:
        return name.isdecimal() and os.getpgid(int(name)) == group
    except ProcessLookupError:
        return False


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_full_disk_while_publishing_is_one_clear_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    results = bench.folder / "results" / "tiny" / "digits"
    results.mkdir(parents=True)
    (results / "concat").write_text("a file where a folder has to be")
    assert bench.run(bench.suite(strategies=["concat"], seeds=1)) == 2
    message = capsys.readouterr().err
    assert len(message.strip().splitlines()) == 1, message
    assert str(results / "concat") in message
    assert json.dumps(bench.records()) == "{}"
