"""`--devices`: a group of processes per run, through the command line: as on one device, or one failed record."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from small_suites import Bench

from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks, ranks_under_torchrun
from fusionbench.records.store import Store

BUDGET = {"epochs": 2, "dropout": 0.2}
BITS = Path(__file__).parent.parent / "training" / "bits.py"
SMALL = {"image": {"name": "mlp", "options": {"width": 16}}}


def scores(bench: Bench, results: str) -> dict[str, dict[str, float]]:
    """By strategy and seed, what the records say of test and validation."""
    return {
        f"{name_of(record['spec'])} {record['spec']['seed']}": record["scores"] | record["validation"]
        for record in bench.records(results).values()
    }


def name_of(spec: dict[str, Any]) -> str:
    rate = f" at {spec['budget']['learning_rate']}" if spec["role"] == "trial" else ""
    return f"{spec['strategy']['name']}{rate}"


def devices(bench: Bench, results: str) -> dict[str, int]:
    return {record["spec"]["strategy"]["name"]: record["devices"] for record in bench.records(results).values()}


def assert_equal(found: dict[str, dict[str, float]], expected: dict[str, dict[str, float]]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name


def left_behind(bench: Bench) -> list[str]:
    kinds = ("*.lock", ".*.tmp", "*.log")
    return [str(path) for kind in kinds for path in (bench.folder / "results").rglob(kind)]


def children_of(process: subprocess.Popen[str]) -> dict[int, str]:
    """Processes of its session that still run, with their parent's id and state."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, group = (path / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == process.pid and int(path.name) != process.pid and state not in "ZX":
            found[int(path.name)] = state
    return found


def busy(process: subprocess.Popen[str]) -> list[int]:
    """The processes of its session that talk to each other over sockets of a group, oldest first."""
    return sorted(pid for pid in children_of(process) if sockets_of(pid) >= 4)


def sockets_of(pid: int) -> int:
    try:
        return sum("socket:" in str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def wait_until(condition: Any, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_devices_find_what_one_finds_and_the_record_says_two(bench: Bench) -> None:
    suite = bench.suite(strategies=["chance", "concat", "late"], seeds=1, budget=BUDGET, encoders=SMALL)
    assert bench.run(suite, "--devices", "1", results="one") == 0
    assert bench.run(suite, "--workers", "1", "--devices", "2", results="two") == 0
    assert_equal(scores(bench, "two"), scores(bench, "one"))
    assert bench.records("one").keys() == bench.records("two").keys()
    assert devices(bench, "one") == {"chance": 1, "concat": 1, "late": 1}
    # Chance counts all training targets, and has nothing that could be trained in parts.
    assert devices(bench, "two") == {"chance": 1, "concat": 2, "late": 2}
    for kind in ("*.npz", "*.size.json"):
        assert len(list((bench.folder / "two").rglob(kind))) == 3


def test_what_is_solved_for_takes_one_device_and_ends_after_one_epoch(bench: Bench) -> None:
    bench.own()
    (bench.folder / bench.package / "bits.py").write_text(BITS.read_text())
    encoders = {"vector": {"name": "mlp", "options": {"width": 16}, "pretrain": {"epochs": 3, "learning_rate": 1e-2}}}
    several = ["logistic_regression", "stacking", "concat"]
    suite = bench.suite(
        datasets=[f"{bench.package}.bits"], strategies=several, seeds=1, budget=BUDGET, encoders=encoders
    )
    assert bench.run(suite, "--workers", "1", "--devices", "2") == 0
    assert devices(bench, "results") == {"logistic_regression": 1, "stacking": 1, "concat": 2}
    assert {r["spec"]["strategy"]["name"]: r["epochs_run"] for r in bench.records().values()} == {
        "logistic_regression": 1,
        "stacking": 1,
        "concat": BUDGET["epochs"],
    }
    assert bench.run(suite, "--workers", "1", "--devices", "1", results="one") == 0
    assert_equal(scores(bench, "results"), scores(bench, "one"))


def test_diverged_skipped_and_raising_runs_of_a_group_are_one_record_each(bench: Bench) -> None:
    names = bench.own("diverges", "unsuited", "raises", "second_raises", "unbuildable", "dies")
    suite = bench.suite(strategies=[*names, "concat"], seeds=1, budget=BUDGET, encoders=SMALL)
    assert bench.run(suite, "--workers", "1", "--devices", "2") == 1
    found = {record["spec"]["strategy"]["name"].rpartition(".")[2]: record for record in bench.records().values()}
    assert {name: record["status"] for name, record in found.items()} == {
        "diverges": "diverged",
        "unsuited": "skipped",
        "raises": "failed",
        "second_raises": "failed",
        "unbuildable": "failed",
        "dies": "failed",
        "concat": "done",
    }
    assert "no idea" in found["raises"]["reason"]
    assert found["second_raises"]["reason"].startswith("AssertionError: only here")
    assert "SIGKILL" in found["dies"]["reason"]
    assert found["raises"]["devices"] == 2


@pytest.mark.parametrize(("victim", "reason"), [(0, "device 0 of 2"), (1, "device 1 of 2")])
def test_one_killed_process_of_a_group_is_one_failed_record_and_no_orphan(
    victim: int, reason: str, bench: Bench
) -> None:
    suite = bench.suite(strategies=bench.own("slow"), seeds=1, budget={"epochs": 400}, encoders=SMALL)
    process = bench.start(suite, "--workers", "1", "--devices", "2")
    wait_until(lambda: len(busy(process)) == 2 or process.poll() is not None)
    time.sleep(1)
    os.kill(busy(process)[victim], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    (record,) = bench.records().values()
    assert (record["status"], record["devices"]) == ("failed", 2)
    assert reason in record["reason"]
    assert "SIGKILL" in record["reason"]
    wait_until(lambda: not children_of(process))
    assert left_behind(bench) == []


def test_an_interrupted_group_leaves_nothing_and_the_same_command_goes_on(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat", *bench.own("slow")], seeds=1, budget={"epochs": 3}, encoders=SMALL)
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = bench.start(suite, "--workers", "1", "--devices", "2")
        bench.wait_for_records(process, 1)
        wait_until(lambda started=process: len(busy(started)) == 2 or started.poll() is not None)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, output
        wait_until(lambda started=process: not children_of(started))
        assert {record["status"] for record in bench.records().values()} == {"done"}
        assert len(bench.records()) == 1
    assert bench.run(suite, "--workers", "1", "--devices", "2") == 0
    assert len(bench.records()) == 2
    assert left_behind(bench) == []


@pytest.mark.parametrize(
    ("words", "changes", "parts"),
    [
        (["--devices", "0"], {}, ["--devices 0", "from 1 to"]),
        (["--devices", "4096"], {}, ["--devices 4096", "from 1 to"]),
        (["--devices", "2"], {"budget": {"batch_size": 127}}, ["2 devices", "127", "batch_size=126"]),
        (["--devices", "2"], {"budget": {"batch_size": 2000}}, ["2 devices", "1295 samples"]),
    ],
)
def test_devices_that_cannot_be_are_refused_before_anything_is_written(
    words: list[str], changes: dict[str, Any], parts: list[str], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(bench.suite(**changes), *words) == 2
    message = capsys.readouterr().err
    assert 1 <= len(message.strip().splitlines()) <= 2, message
    assert all(part in message for part in parts), message
    assert bench.records() == {}


def torchrun(bench: Bench, suite: str, *words: str) -> subprocess.CompletedProcess[str]:
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fusionbench.cli"]
    command = [sys.executable, *start, *bench.arguments("run", suite, *words)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=bench.folder, start_new_session=True)
    try:
        output, errors = process.communicate()
    finally:
        if process.poll() is None:  # A test that takes too long: torchrun ends those that it has started.
            process.terminate()
            process.wait()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def test_torchrun_trains_the_suite_as_one_device_does(bench: Bench) -> None:
    (diverges,) = bench.own("diverges")
    suite = bench.suite(strategies=["chance", diverges, "concat"], seeds=1, budget=BUDGET, encoders=SMALL)
    assert bench.run(suite, results="one") == 1
    done = torchrun(bench, suite)
    assert done.returncode == 1  # One of them diverged.
    assert_equal(scores(bench, "results"), scores(bench, "one"))
    assert devices(bench, "results") == {"chance": 1, diverges: 2, "concat": 2}
    assert "Traceback" not in done.stdout
    assert done.stdout.count("concat, seed 0: done") == 1
    assert left_behind(bench) == []


def test_under_torchrun_a_run_that_takes_too_long_is_recorded_and_ends_the_command(bench: Bench) -> None:
    suite = bench.suite(
        strategies=bench.own("computes_for_ever"), seeds=1, budget={"epochs": 1, "time_limit": 3}, encoders=SMALL
    )
    done = torchrun(bench, suite)
    assert done.returncode == 1
    assert "not done within its time limit of 3 s (budget.time_limit); the same command goes on" in done.stderr
    (record,) = bench.records().values()
    assert (record["status"], record["devices"]) == ("failed", 2)
    assert "time limit of 3 s" in record["reason"]
    assert left_behind(bench) == []


def test_under_torchrun_encoders_are_trained_beforehand_on_their_half_and_the_fusion_on_the_other(bench: Bench) -> None:
    encoders = {"image": {**SMALL["image"], "pretrain": {"epochs": 1}}}
    suite = bench.suite(strategies=["concat"], seeds=1, budget=BUDGET, encoders=encoders)
    assert torchrun(bench, suite).returncode == 0
    assert bench.run(suite, results="one") == 0
    assert_equal(scores(bench, "results"), scores(bench, "one"))
    (found,), (expected,) = (list(bench.records(name).values()) for name in ("results", "one"))
    assert found["devices"] == 2
    assert found["options"]["pretrained"] == expected["options"]["pretrained"]
    assert found["data"]["counts"] == expected["data"]["counts"]
    assert left_behind(bench) == []


def test_under_torchrun_trials_come_before_the_runs_that_take_over_from_them(bench: Bench) -> None:
    track = {"name": "matched_parameters", "options": {"target": 5000, "learning_rates": [1e-4, 1e-2]}}
    suite = bench.suite(strategies=["concat"], seeds=1, tracks=[track], budget=BUDGET, encoders=SMALL)
    assert bench.run(suite, results="one") == 0
    assert torchrun(bench, suite).returncode == 0
    found = scores(bench, "results")
    assert "concat at 0.03 1000000" in found  # A second round: 0.01 was the best, and the last.
    assert_equal(found, scores(bench, "one"))
    chosen, expected = (
        {record["options"].get("learning_rate") for record in bench.records(results).values()}
        for results in ("results", "one")
    )
    assert chosen == expected


def test_under_torchrun_a_search_is_that_of_one_device(bench: Bench) -> None:
    track = {"name": "tuned", "options": {"trials": 2, "weight_decay": [0.01, 0.01]}}
    suite = bench.suite(strategies=["low_rank"], seeds=1, tracks=[track], budget=BUDGET, encoders=SMALL)
    assert bench.run(suite, results="one") == 0
    assert torchrun(bench, suite).returncode == 0
    assert_equal(scores(bench, "results"), scores(bench, "one"))
    chosen, expected = (
        [record["options"]["own"] for record in bench.records(results).values() if "own" in record["options"]]
        for results in ("results", "one")
    )
    assert chosen == expected
    assert len(chosen) == 1


def test_the_first_process_of_torchrun_is_told_by_its_environment() -> None:
    assert ranks_under_torchrun({}) is None
    found = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    assert ranks_under_torchrun(found) == Ranks(0, 2, 0, 2)


def test_a_torchrun_that_is_gone_is_one_line_and_no_endless_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from fusionbench.engines import torchrun

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torchrun, "CONNECT", timedelta(seconds=1))
    with pytest.raises(UserError, match="does not answer"):
        torchrun._store_of_torchrun()


def test_devices_are_told_by_torchrun_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert bench.run(bench.suite(), "--devices", "2") == 2
    assert "torchrun has said how many" in capsys.readouterr().err
    assert not Store(bench.folder / "results", "tiny").root.exists()
