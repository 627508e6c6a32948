"""The engine `slurm` on a real cluster of one node: whatever becomes of jobs, each run is done once, as anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_node import SlurmNode, begin_now, missing, run
from small_suites import Bench

from fusionbench.cli.main import main

PATIENCE_S = 1500
"""For what a command does: where others work too, a job takes minutes to start."""
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
needs_slurm = pytest.mark.skipif(bool(missing()), reason=f"no {missing()} here (Debian: slurmctld slurmd munge)")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    pytest.importorskip("submitit", reason="submitit is not installed (extra `slurm`)")
    made = SlurmNode(tmp_path_factory.mktemp("slurm"))
    made.start()
    yield made
    made.stop()


def slow_suite(bench: Bench, runs: int = 4) -> str:
    return bench.suite(strategies=bench.own("slow"), seeds=runs, budget={"epochs": 6})


def said(bench: Bench) -> str:
    """All that jobs have said."""
    logs = (bench.folder / "results" / "tiny" / "slurm").glob("*.out")
    return "\n".join(path.read_text() for path in sorted(logs))


def wait_for_words(process: subprocess.Popen[str], words: str, bench: Bench) -> None:
    """Until a job has said so, or the command has ended."""
    end = time.monotonic() + PATIENCE_S
    while words not in said(bench) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def array_of(bench: Bench) -> str:
    """The number of the array that was sent last."""
    folder = bench.folder / "results" / "tiny" / "slurm"
    return max((path.name.partition("_")[0] for path in folder.glob("*_submission.sh")), key=int)


def leftovers(bench: Bench) -> list[Path]:
    """Claims and half-written files."""
    return [path for kind in ("*.lock", ".*.tmp") for path in (bench.folder / "results" / "tiny").rglob(kind)]


def assert_once(bench: Bench) -> None:
    """No run was done twice; of one whose job was ended when its record was there just then, nobody says so."""
    done = re.findall(r"seed (\d): done", said(bench))
    assert len(done) == len(set(done)) >= len(bench.records()) - 2


@needs_slurm
def test_half_the_array_cancelled_and_the_rest_requeued_ends_as_on_one_machine(bench: Bench, node: SlurmNode) -> None:
    suite = slow_suite(bench)
    process = bench.start(suite, "--engine", "slurm", "--jobs", "2", "--time", "10", "--partition", "short")
    bench.wait_for_records(process, 1)
    array = array_of(bench)
    run("scancel", f"{array}_0")
    run("scontrol", "requeue", f"{array}_1")
    begin_now(f"{array}_1")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output + said(bench)
    assert f"slurm: sent 2 jobs as {array}" in output
    assert bench.run(suite, results="here") == 0
    assert bench.scores() == bench.scores("here")
    assert_once(bench)
    assert leftovers(bench) == []


@needs_slurm
def test_a_job_that_is_warned_gives_its_run_back_and_comes_again(bench: Bench, node: SlurmNode) -> None:
    suite = slow_suite(bench)
    process = bench.start(suite, "--engine", "slurm")
    wait_for_words(process, "seed 0: done", bench)  # A record is there just before its job knows that it got on.
    run("scancel", "--signal=USR1", array_of(bench))  # As before its limit.
    begin_now(array_of(bench))
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output + said(bench)
    assert "back into the queue" in said(bench)
    assert "SIGUSR1" not in str(bench.records())
    assert_once(bench)


@needs_slurm
def test_ctrl_c_ends_the_jobs_and_the_same_command_goes_on(bench: Bench, node: SlurmNode) -> None:
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    suite = bench.suite(strategies=bench.own("slow"), seeds=3, budget={"epochs": 8}, measures=["size", latency])
    stage = bench.folder / "disk"
    words = ("--engine", "slurm", "--stage", str(stage), "--cpus", "2")
    process = bench.start(suite, *words)
    bench.wait_for_records(process, 1)
    os.killpg(process.pid, 15)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, output
    end = time.monotonic() + PATIENCE_S
    while run("squeue", "--noheader").strip() and time.monotonic() < end:
        time.sleep(0.2)
    assert leftovers(bench) == []
    assert 1 <= len(bench.records()) < 3
    process = bench.start(suite, *words)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output + said(bench)
    assert len(bench.records()) == 3
    assert len(list((bench.folder / "results").rglob("latency/*.json"))) == 1
    (copied,) = stage.glob("fusionbench-*/prepared/digits-*")
    assert not copied.is_symlink()
    assert {path.name for path in copied.iterdir()} >= {"manifest.json", "targets.npy"}


@needs_slurm
def test_a_strategy_that_fails_is_recorded_and_done_again_once_where_asked(bench: Bench, node: SlurmNode) -> None:
    suite = bench.suite(strategies=bench.own("raises"), seeds=2)
    for words in ([], ["--again", "failed"]):
        process = bench.start(suite, "--engine", "slurm", *words)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1, output + said(bench)
        assert len(re.findall(r"^\[\d/2\] .*: failed: RuntimeError: no idea", output, re.MULTILINE)) == 2
    assert [record["status"] for record in bench.records().values()] == ["failed", "failed"]
    assert len(re.findall(r"seed \d: failed", said(bench))) == 4


@needs_slurm
def test_a_run_that_takes_too_long_fails_by_its_limit_in_a_job_too(bench: Bench, node: SlurmNode) -> None:
    suite = bench.suite(strategies=bench.own("hangs"), seeds=1, budget={"epochs": 1, "time_limit": 15})
    process = bench.start(suite, "--engine", "slurm")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output + said(bench)
    (record,) = bench.records().values()
    assert record["reason"] == "not done within its time limit of 15 s (budget.time_limit)"
    assert record["log"][0] == "here I stay"
    assert leftovers(bench) == []


@needs_slurm
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--partition", "shrt"], "--partition: no partition 'shrt'; did you mean 'short'? Known: long, short"),
        (["--time", "2:00:00"], "--time 2:00:00: longer than the partition allows (short at most 1:00:00)"),
        (["--time", "0:30"], "--time 0:30: too short, since a job leaves 90 s before its limit"),
        (["--cpus", "64"], "slurm: no node takes such a job (PartitionConfig); change --partition, --cpus"),
        (["--sbatch", "nodelist=nowhere"], "sbatch: Batch job submission failed: Invalid node name specified"),
        (["--devices", "2"], "--devices 2: a job has 1; ask for more"),
    ],
)
def test_what_slurm_cannot_do_is_one_line(
    bench: Bench, node: SlurmNode, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    assert main(bench.arguments("run", suite, "--engine", "slurm", *words)) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("slurm: ")]
    assert message in told[-1]
    assert len(told) == 1


@needs_slurm
def test_a_results_folder_that_nodes_do_not_see_is_told(bench: Bench, node: SlurmNode) -> None:
    run("scontrol", "update", "PartitionName=long", "State=DOWN")  # The job waits, until the folder is away.
    suite = bench.suite(strategies=["concat"], seeds=1)
    process = bench.start(suite, "--engine", "slurm", "--partition", "long")
    while process.poll() is None and "PD" not in run("squeue", "--noheader", "--format=%t"):
        time.sleep(0.2)
    folder = bench.folder / "results" / "tiny" / "slurm"
    folder.rename(folder.with_name("elsewhere"))
    run("scontrol", "update", "PartitionName=long", "State=UP")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, output
    assert "ended without a word: can the nodes read and write" in output.splitlines()[-1]


def test_without_slurm_or_its_extra_one_line_says_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = bench.arguments("run", bench.suite(), "--engine", "slurm")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "submitit", None)
        for name in [name for name in sys.modules if name.startswith("fusionbench.engines.slurm")]:
            patched.delitem(sys.modules, name)
        assert main(command) == 2
    assert "pip install 'multimodal-fusionbench[slurm]'" in capsys.readouterr().err
    pytest.importorskip("submitit", reason="submitit is not installed (extra `slurm`)")
    monkeypatch.setenv("PATH", "")
    assert main(command) == 2
    message = capsys.readouterr().err.strip()
    assert "no sbatch here; start it on a login node" in message
    assert len(message.splitlines()) == 1
