"""Whether a suite survives kills, and two runners at once: nothing lost, damaged or doubled, and the same scores.

    python benchmarks/kills.py [--runs 40] [--kills 50] [--starts 10] [--workers 2] [--epochs 2] [--minutes N]

First all runs undisturbed, which also tells how long they take. Then they are begun and SIGKILL ends the whole process
tree at a random moment of that time, again and again; a suite that got done is looked at and begun anew in another
folder. Then two runners are started together on an empty folder, so many times. A record is lost if it was there before
a kill and is not after it, or if the finished suite lacks it; damaged if it does not read, or was moved aside as such;
doubled if its bytes ever change, if its key lies in two places, or if two runners both say that they did it. What is
left over are claims and half-written files of a suite that is done. Ends with an error unless all of these are 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fusionbench.records.record import InvalidRecord, from_text

SAME = ("scores", "validation", "curves", "status", "data", "epochs_run")
FAULTS = ("lost", "damaged", "doubled", "other scores", "left over", "other exit code")
LEFT = ("*.lock", ".*.tmp", "*.log", "*.checkpoint")
DONE = re.compile(r"^\[\d+/\d+\] (.*): done ", re.MULTILINE)


class Folder:
    """One results folder, looked at again and again."""

    def __init__(self, path: Path, faults: Counter[str]) -> None:
        self.path, self.faults = path, faults
        self.seen: dict[Path, bytes] = {}
        """Records as they were when they were first there."""

    def look(self) -> dict[str, str]:
        """Count faults; by key what has to be the same wherever a run is done."""
        paths = [path for path in self.path.rglob("*.json") if re.fullmatch("[0-9a-f]{12}", path.stem)]
        there = {path: path.read_bytes() for path in paths if path.parent.name != "latency"}
        self.faults["lost"] += len(self.seen.keys() - there.keys())
        self.faults["doubled"] += sum(self.seen.get(path, content) != content for path, content in there.items())
        self.faults["doubled"] += len(there) - len({path.stem for path in there})
        self.faults["damaged"] += len(list(self.path.rglob("*.invalid-*")))
        self.seen = {**there, **self.seen}
        found = {}
        for path, content in there.items():
            try:
                from_text(content)
            except InvalidRecord:
                self.faults["damaged"] += 1
                continue
            record = json.loads(content)
            found[path.stem] = json.dumps([record[name] for name in SAME], sort_keys=True)
        return found

    def finished(self, expected: dict[str, str]) -> None:
        """Count what is wrong with a suite that is done."""
        found = self.look()
        self.faults["lost"] += len(expected.keys() - found.keys())
        self.faults["other scores"] += sum(found.get(key, value) != value for key, value in expected.items())
        self.faults["left over"] += sum(len(list(self.path.rglob(kind))) for kind in LEFT)


class Bench:
    """The suite, and where it is done."""

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self.folder, self.chosen = folder, chosen
        self.suite = folder / "kills.yaml"
        tree = {"name": "kills", "datasets": ["digits"], "strategies": ["concat", "late"], "seeds": chosen.runs // 2}
        self.suite.write_text(json.dumps({**tree, "budget": {"epochs": chosen.epochs}}))

    def is_time(self, done: int, wanted: int) -> bool:
        """Whether another one is to be done."""
        return done < wanted and time.monotonic() < self.chosen.end

    def start(self, results: Path, workers: int, *more: str) -> subprocess.Popen[str]:
        """The command line, with more words if need be, as a process group of its own."""
        words = ["run", str(self.suite), "--results", str(results), "--workers", str(workers), *more]
        data = [] if "FUSIONBENCH_DATA" in os.environ else ["--data", str(self.folder)]
        command = [sys.executable, "-m", "fusionbench.cli", *words, *data]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def whole(self, folder: Folder) -> None:
        """To the end."""
        process = self.start(folder.path, self.chosen.workers)
        process.communicate()
        folder.faults["other exit code"] += process.returncode != 0


def main() -> None:
    """Undisturbed, killed, doubled."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("runs", 40), ("kills", 50), ("starts", 10), ("workers", 2), ("epochs", 2), ("seed", 15)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument(
        "--minutes", type=float, default=float("inf"), help="no kill, and no start, begins after these"
    )
    chosen = options.parse_args()
    chosen.end = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        bench, faults = Bench(Path(name), chosen), Counter[str]()
        bench.whole(Folder(bench.folder / "first", faults))  # Converts the data.
        undisturbed = Folder(bench.folder / "undisturbed", faults)
        began = time.perf_counter()
        bench.whole(undisturbed)
        took = time.perf_counter() - began
        expected = undisturbed.look()
        print(f"{len(expected)} runs, undisturbed in {took:.1f} s with {chosen.workers} workers", flush=True)
        if len(expected) != chosen.runs or faults.total():
            sys.exit(f"undisturbed: {len(expected)} of {chosen.runs} runs, {dict(faults)}")
        killed = kill(bench, expected, took)
        doubled = start_together(bench, expected)
    print("| what | " + " | ".join(FAULTS) + " |")
    print("| :-- |" + " --: |" * len(FAULTS))
    for title, found in (killed, doubled):
        print(f"| {title} | " + " | ".join(str(found[fault]) for fault in FAULTS) + " |")
    sys.exit(1 if (killed[1] + doubled[1]).total() else 0)


def kill(bench: Bench, expected: dict[str, str], took: float) -> tuple[str, Counter[str]]:
    """SIGKILL to launcher, server and workers at once, each time at a moment drawn over the time of a whole suite."""
    rng, faults, kills, suites = random.Random(bench.chosen.seed), Counter[str](), 0, 0  # noqa: S311  (no secret)
    training = 0
    while bench.is_time(kills, bench.chosen.kills):
        suites += 1
        folder = Folder(bench.folder / f"killed-{suites}", faults)
        while bench.is_time(kills, bench.chosen.kills):
            process = bench.start(folder.path, bench.chosen.workers)
            time.sleep(rng.uniform(0, took))
            if process.poll() is not None:
                process.communicate()
                break
            training += any(folder.path.rglob("*.lock"))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            there = len(folder.look())
            print(f"kill {kills}: {there} of {len(expected)} records in suite {suites}", flush=True)
        bench.whole(folder)
        folder.finished(expected)
    return f"{kills} kills of {suites} suites of {len(expected)} runs, {training} of them while runs trained", faults


def start_together(bench: Bench, expected: dict[str, str]) -> tuple[str, Counter[str]]:
    """Two runners at the same time on an empty folder; each run is said to be done by one of them, once."""
    faults, shares = Counter[str](), list[int]()
    while bench.is_time(len(shares), bench.chosen.starts):
        number = len(shares)
        folder = Folder(bench.folder / f"together-{number}", faults)
        both = [bench.start(folder.path, 1) for _ in range(2)]
        said = [DONE.findall(process.communicate()[0]) for process in both]
        faults["other exit code"] += sum(process.returncode != 0 for process in both)
        told = Counter([*said[0], *said[1]])
        faults["doubled"] += sum(count - 1 for count in told.values())
        faults["lost"] += len(expected) - len(told)
        folder.finished(expected)
        shares.append(min(map(len, said)))
        print(f"start {number + 1}: {len(said[0])} + {len(said[1])} runs", flush=True)
    least = min(shares, default=0)
    return f"{len(shares)} starts of two runners on {len(expected)} runs, each did at least {least}", faults


if __name__ == "__main__":
    main()
