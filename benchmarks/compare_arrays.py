"""Seconds that `fusionbench.compare` takes on arrays: the halves of scikit-learn's digits, or 5,000 made-up vectors.

`digits`: ten strategies, three seeds. `vectors`: every strategy that is shipped, six seeds, on 5,000 samples of which
each has a vector of 512 and one of 128 numbers (the sizes of common networks' encodings), ten classes.

Wall time depends on what else the machine does; the seconds of processor time (all processes together, importing torch
among them) hardly do.

    python benchmarks/compare_arrays.py [vectors] [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import fusionbench


def main() -> None:
    """Compare, and print the table and what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=sorted(CALLS), nargs="?", default="digits")
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    arguments = CALLS[chosen.what]()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter(), time.process_time()
        result = fusionbench.compare(**arguments, results=Path(folder) / "results", data=folder, workers=chosen.workers)
        wall, own = time.perf_counter() - started[0], time.process_time() - started[1]
        print(result.table())
        print(result.best())
    print(f"{sum(result.counts.values())} runs, {chosen.workers} at a time: {wall:.1f} s")
    print(f"processor time: {own + sum(map(seconds_of, children())):.1f} s")


def halves() -> dict[str, Any]:
    """The written digits, each cut in two."""
    digits = load_digits()
    images = digits.images[:, None]
    return {"inputs": {"left": images[..., :4], "right": images[..., 4:]}, "targets": digits.target}


def vectors() -> dict[str, Any]:
    """Each class has its own mean in both vectors, and noise in which it is found two times of three."""
    draw = np.random.default_rng(0)
    targets = draw.integers(10, size=5000)
    inputs = {
        name: (draw.normal(size=(10, width))[targets] * spread + draw.normal(size=(5000, width))).astype(np.float32)
        for name, width, spread in (("image", 512, 0.1), ("text", 128, 0.2))
    }
    return {"inputs": inputs, "targets": targets, "strategies": "all", "seeds": 6}


CALLS = {"digits": halves, "vectors": vectors}


def children() -> list[int]:
    """This process's: the server that workers are forked from, and Python's own tracker."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def seconds_of(pid: int) -> float:
    """User and system seconds of a process and of all its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
