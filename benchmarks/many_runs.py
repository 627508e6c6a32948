"""How long `plan`, the scan before `run` goes on, and `status` take for a suite of 10,000 runs or more.

    python benchmarks/many_runs.py [--runs 10000] [--keep DIR]

Three states of its folder: nothing done, every second run done, all done; records are those of report_many.py. `plan`
and `status` are processes of their own, timed from their start. The scan is all that `run` does besides preparing the
data and the work itself, with workers that are instant: which runs are wanted, claims and half-written files of killed
runners, measures that are missing, and what has which status at the end. Processor seconds are the fairer number on a
busy machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from report_many import make, suite_file

from fusionbench.api.progress import silent
from fusionbench.api.work import Work, planned
from fusionbench.engines.local import Pool
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store


def main() -> None:
    """Make the records, then time everything in each state."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=10_000)
    options.add_argument("--keep", metavar="DIR", help="make the records there once, and leave them")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(chosen.keep or scratch)
        suite = suite_file(folder, chosen.runs)
        _, runs = planned(str(suite))
        done = folder / "results" / "many"
        if not done.is_dir():
            make(list(runs), folder)
        look(suite, folder / "nothing", runs, "nothing done")
        look(suite, folder / "results", runs, "all done")
        for run in runs[::2]:
            Store(folder / "results", "many").path(run).unlink()
        look(suite, folder / "results", runs, "half done")


def look(suite: Path, results: Path, runs: tuple[RunSpec, ...], state: str) -> None:
    """Time all three on one results folder."""
    results.mkdir(exist_ok=True)
    print(f"{len(runs):,} runs, {state}:")
    for verb in ("plan", "status"):
        report(verb, lambda verb=verb: command(verb, suite, results))  # type: ignore[misc]
    report("scan", lambda: scan(suite, results, runs))


def report(name: str, work: Callable[[], None]) -> None:
    """Do it; seconds by the clock and of the processor, those of processes that it started too."""
    started, before = time.perf_counter(), used()
    work()
    print(f"  {name:6} {time.perf_counter() - started:5.1f} s, {used() - before:.1f} s of processor")


def used() -> float:
    """Seconds of processor so far."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def command(verb: str, suite: Path, results: Path) -> None:
    """A process of its own."""
    words = [sys.executable, "-m", "fusionbench.cli", verb, str(suite), "--results", str(results)]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


def scan(suite: Path, results: Path, runs: tuple[RunSpec, ...]) -> None:
    """What `run` does with workers that are instant, from the suite file on."""
    made, _ = planned(str(suite))
    work = Work(made, runs, results=results)
    pending = [run for run in runs if work.store.is_wanted(run)]
    watcher = silent(len(runs), len(runs) - len(pending))
    runner = work.runner(watcher, watcher.told)
    with patch.object(Runner, "prepare"), patch.object(Pool, "run", return_value=[]):
        runner.run(runs)


if __name__ == "__main__":
    main()
