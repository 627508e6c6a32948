"""How long a table of a million rows takes to be looked at and to be converted, and how much memory.

    python benchmarks/manifest_million.py [--rows 1000000] [--form csv] [--convert] [--keep DIR]

Rows are made up: a text of some twenty words, five numbers (one with empty cells), a category, a part and a label. What
is timed is a process of its own, from its start. Processor seconds are the fairer number on a busy machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

NUMBERS = ("age", "weight", "height", "income", "score")
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe", "ri", "so", "tu") for b in ("", "n", "ra", "st", "vel")]
CONVERT = """
import sys
from fusionbench.data.manifest import Manifest
columns = {**dict.fromkeys(sys.argv[3].split(","), "number"), "city": "category", "note": "tokens"}
Manifest(sys.argv[2], file=sys.argv[1], columns=columns, label="label", split="part").prepare_data()
"""


def main() -> None:
    """Make the table, then look at it, then convert it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--form", choices=["csv", "jsonl", "parquet"], default="csv")
    options.add_argument("--convert", action="store_true")
    options.add_argument("--keep", metavar="DIR", help="make the table there once, and leave it")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(chosen.keep or scratch) / f"rows_{chosen.rows}.{chosen.form}"
        if not path.exists():
            write(path, chosen.rows)
        print(f"{path.name}: {chosen.rows:,} rows, {path.stat().st_size / 2**20:.0f} MiB")
        measured("inspect", ["-m", "fusionbench.cli", "inspect", str(path)])
        if chosen.convert:
            measured("convert", ["-c", CONVERT, str(path), scratch, ",".join(NUMBERS)])


def measured(what: str, words: list[str]) -> None:
    """Run Python, and say what it took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall, memory = time.perf_counter() - began, after.ru_maxrss / 2**20
    print(f"{what}: {wall:.1f} s, {processor:.1f} processor seconds, at most {memory:.2f} GiB so far\n")


def write(path: Path, rows: int) -> None:
    """In whichever form its name says."""
    if path.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(list(made(rows))).to_parquet(path)
        return
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(f"{json.dumps(row)}\n" for row in made(rows))
        else:
            writer = csv.DictWriter(file, ["note", *NUMBERS, "city", "part", "label"])
            writer.writeheader()
            writer.writerows(made(rows))


def made(rows: int) -> Iterator[dict[str, object]]:
    """The same rows every time."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, 10_000):
        count = min(10_000, rows - start)
        words, sizes = rng.integers(len(WORDS), size=(count, 25)), rng.integers(15, 25, size=count)
        numbers = rng.normal(50, 10, size=(count, len(NUMBERS))).round(3)
        cities, labels, parts = rng.integers(30, size=count), rng.integers(5, size=count), rng.integers(10, size=count)
        for row in range(count):
            cells: dict[str, object] = dict(zip(NUMBERS, numbers[row].tolist(), strict=True))
            cells["score"] = None if row % 9 == 0 else cells["score"]
            part = "test" if parts[row] == 0 else "validation" if parts[row] == 1 else "train"
            note = " ".join(WORDS[word] for word in words[row, : sizes[row]])
            yield {"note": note, **cells, "city": f"city {cities[row]}", "part": part, "label": f"c{labels[row]}"}


if __name__ == "__main__":
    main()
