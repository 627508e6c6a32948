"""Seconds that `fusionbench.compare` takes on the halves of scikit-learn's digits: ten strategies, three seeds.

Wall time depends on what else the machine does; the seconds of processor time (all processes together, importing torch
among them) hardly do.

    python benchmarks/compare_digits.py [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_digits

import fusionbench


def main() -> None:
    """Compare, and print the table and what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    digits = load_digits()
    halves = {"left": digits.images[:, None, :, :4], "right": digits.images[:, None, :, 4:]}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter(), time.process_time()
        result = fusionbench.compare(
            halves, digits.target, results=Path(folder) / "results", data=folder, workers=chosen.workers
        )
        wall, own = time.perf_counter() - started[0], time.process_time() - started[1]
        print(result.table())
        print(result.best())
    print(f"{sum(result.counts.values())} runs, {chosen.workers} at a time: {wall:.1f} s")
    print(f"processor time: {own + sum(map(seconds_of, children())):.1f} s")


def children() -> list[int]:
    """This process's: the server that workers are forked from, and Python's own tracker."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def seconds_of(pid: int) -> float:
    """User and system seconds of a process and of all its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
