"""Whether 40 runs are each done once where a node of Ray is lost in the middle, or half of SLURM's jobs are cancelled.

    python benchmarks/lost_jobs.py [--runs 40] [--epochs 2] [--engines ray,slurm]

Ray has two nodes on 127.0.0.1, of one core each (tests/engines/ray_nodes.py); when a third of the records is there, the
second goes without a word. SLURM is a cluster of one node on this machine (tests/engines/slurm_node.py) and has an
array of four jobs; then two of them get scancel, the command that sent them is killed, the same command is given again,
and the other two get scontrol requeue. Faults are counted as in kills.py, against a run on this machine by itself;
`doubled` are also runs that two say they did. Ends with an error unless all are 0.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kills import DONE, FAULTS, Bench, Folder

TESTS = Path(__file__).parent.parent / "tests" / "engines"
JOB_DONE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*): done$", re.MULTILINE)
JOBS = 4


def main() -> None:
    """Undisturbed, then each engine."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("runs", 40), ("epochs", 2), ("workers", 2)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--engines", default="ray,slurm")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        bench, faults = Bench(Path(name), chosen), Counter[str]()
        here = Folder(bench.folder / "here", faults)
        bench.whole(here)
        expected = here.look()
        if len(expected) != chosen.runs or faults.total():
            sys.exit(f"undisturbed: {len(expected)} of {chosen.runs} runs, {dict(faults)}")
        found = [ENGINES[engine](bench, expected) for engine in chosen.engines.split(",")]
    print("| what | " + " | ".join(FAULTS) + " |")
    print("| :-- |" + " --: |" * len(FAULTS))
    for title, faults in found:
        print(f"| {title} | " + " | ".join(str(faults[fault]) for fault in FAULTS) + " |")
    sys.exit(1 if any(faults.total() for _, faults in found) else 0)


def by_ray(bench: Bench, expected: dict[str, str]) -> tuple[str, Counter[str]]:
    """Two nodes, then one."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    command = [sys.executable, str(TESTS / "ray_nodes.py")]
    nodes = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert nodes.stdin is not None
    assert nodes.stdout is not None
    address = next(line for line in nodes.stdout if line.startswith("address ")).split()[1]
    faults = Counter[str]()
    folder = Folder(bench.folder / "ray", faults)
    process = bench.start(folder.path, 2, "--engine", "ray", "--address", address)
    there = wait_for(folder, len(expected) // 3, process)
    nodes.stdin.write("\n")
    nodes.stdin.flush()
    next(line for line in nodes.stdout if line.startswith("lost"))
    output, _ = process.communicate()
    nodes.communicate()
    ended(folder, expected, process.returncode, DONE.findall(output))
    return f"Ray: one node of two lost when {there} of {len(expected)} runs were done", faults


def by_slurm(bench: Bench, expected: dict[str, str]) -> tuple[str, Counter[str]]:
    """Four jobs, of which two are cancelled and two requeued."""
    sys.path.append(str(TESTS))
    from slurm_node import SlurmNode, begin_now, run

    node = SlurmNode(bench.folder / "cluster")
    node.start()
    faults = Counter[str]()
    folder = Folder(bench.folder / "slurm", faults)
    words = ("--engine", "slurm", "--jobs", str(JOBS))
    try:
        first = bench.start(folder.path, 1, *words)
        there = wait_for(folder, len(expected) // 3, first)
        (sent,) = {path.name.partition("_")[0] for path in folder.path.glob("*/slurm/*_submission.sh")}
        run("scancel", f"{sent}_[0-{JOBS // 2 - 1}]")
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        second = bench.start(folder.path, 1, *words)
        for number in range(JOBS // 2, JOBS):
            run("scontrol", "requeue", f"{sent}_{number}", wait=True)  # It may have come to its end.
            begin_now(f"{sent}_{number}")
        second.communicate()
        while run("squeue", "--noheader", wait=True).strip():  # Jobs of the first command have to see that all is done.
            time.sleep(0.5)
    finally:
        node.stop()
    said = "\n".join(path.read_text() for path in folder.path.glob("*/slurm/*.out"))
    ended(folder, expected, second.returncode, JOB_DONE.findall(said), are_all_told=False)
    return f"SLURM: two jobs of four cancelled when {there} of {len(expected)} runs were done, two requeued", faults


def wait_for(folder: Folder, count: int, process: subprocess.Popen[str]) -> int:
    """Until so many records are there; how many are."""
    while process.poll() is None and (there := len(folder.look())) < count:
        time.sleep(0.1)
    if process.poll() is not None:
        sys.exit(f"ended before it was disturbed: {process.communicate()[0]}")
    return there


def ended(folder: Folder, expected: dict[str, str], code: int, told: list[str], *, are_all_told: bool = True) -> None:
    """Count faults of a suite that is done; a job that was ended when a record was there just then did not tell it."""
    runs = [run for run in told if ", seed " in run]
    folder.faults["other exit code"] += code != 0
    folder.faults["doubled"] += len(runs) - len(set(runs))
    folder.faults["lost"] += len(expected) - len(set(runs)) if are_all_told else 0
    folder.finished(expected)


ENGINES = {"ray": by_ray, "slurm": by_slurm}


if __name__ == "__main__":
    main()
