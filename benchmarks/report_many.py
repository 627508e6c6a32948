"""How long `report` takes for thousands of records, and how much memory; pictures apart.

    python benchmarks/report_many.py [--records 20000] [--keep DIR]

Records are made up, whole and valid: a suite of all strategies on several data sets, six seeds and more, each record
with curves, sizes and 400 resamples of its test score, as real runs leave them. What is timed is a process of its own,
from its start: `fusionbench report --no-pictures`. Processor seconds are the fairer number on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusionbench.plan.family import Family
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import SCHEMA, DataFacts, Record, to_text
from fusionbench.records.resamples import Resamples
from fusionbench.records.resamples import to_text as resamples_text
from fusionbench.records.store import RESAMPLES, Store

RELATIONS = ("redundant", "unique_a", "unique_b", "synergy", "mixture")
ROWS = 74
"""Of a table with all strategies, about."""
SEEDS, EPOCHS, DRAWS = 14, 20, 400


def main() -> None:
    """Make the records, then report them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=20_000)
    options.add_argument("--keep", metavar="DIR", help="make the records there once, and leave them")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(chosen.keep or scratch)
        suite = suite_file(folder, chosen.records)
        runs = list(load_suite(str(suite)).runs())
        if not (folder / "results" / "many").is_dir():
            started = time.perf_counter()
            make(runs, folder)
            print(f"made {len(runs):,} records in {time.perf_counter() - started:.0f} s")
        report(suite, folder, len(runs))


def suite_file(folder: Path, records: int, seeds: int = SEEDS, families: Sequence[Family] = ()) -> Path:
    """A suite of at least as many runs.

    Args:
        folder: where it is written.
        records: runs.
        seeds: of each strategy.
        families: whose pairs are tested.
    """
    count = -(-records // (ROWS * seeds))
    datasets = [
        {"name": "synthetic_pid", "options": {"relation": RELATIONS[at % 5], "noise": 1.0 + at // 5}}
        for at in range(count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "many.yaml"
    tested = [{"name": family.name, "rows": family.members} for family in families]
    suite = {"name": "many", "datasets": datasets, "strategies": "all", "seeds": seeds, "families": tested}
    path.write_text(json.dumps(suite))
    return path


def make(runs: list[RunSpec], folder: Path) -> None:
    """Records, sizes and resamples of all runs; a strategy's score and luck by its place."""
    store, rng = Store(folder / "results", "many"), np.random.default_rng(0)
    facts = {"cpu": "made up", "gpu": "", "torch": "0", "variables": {}, "commit": "0" * 40, "dirty": False}
    for run in runs:
        score = float(np.clip(rng.normal(0.8, 0.05), 0, 1))
        curve = np.sort(rng.uniform(0.3, score, EPOCHS)).tolist()
        record = Record(
            key=run.key,
            spec=run.to_json(),
            status="done",
            options={"head_width": 64, "width": 64},
            task={"kind": "multiclass", "classes": 2, "metric": "accuracy", "modalities": []},
            scores={"test/accuracy": score, "test/macro_f1": score - 0.01, "test/nll": 1 - score},
            validation={"validation/accuracy": score, "validation/nll": 1 - score, "epoch": 9.0},
            curves=dict.fromkeys(("train/loss", "validation/accuracy", "validation/nll"), curve),
            test_evaluations=1,
            train_seconds=1.0,
            epochs_run=EPOCHS,
            data=DataFacts("synthetic_pid", "f" * 64, f"{run.seed:064x}", {"train": 9, "validation": 9, "test": 2048}),
            environment=facts,
            started="2026-01-01T00:00:00.000+00:00",
            finished="2026-01-01T00:00:01.000+00:00",
        )
        path = store.path(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_text(record), encoding="utf-8")
        draws = np.clip(rng.normal(score, 0.009, DRAWS), 0, 1).tolist()
        halves = {"test/accuracy": [score, score]}
        found = Resamples(run.key, "d" * 64, "rows", 2048, DRAWS, {"test/accuracy": draws}, halves)
        path.with_suffix(RESAMPLES).write_text(resamples_text(found), encoding="utf-8")
        size = {"fusion_parameters": 9_000, "encoder_parameters": 9_000, "flops_per_sample": 3.6e4}
        beside = {"schema": SCHEMA, "key": run.key, "measure": "size", **size}
        path.with_suffix(".size.json").write_text(json.dumps(beside), encoding="utf-8")


def report(suite: Path, folder: Path, count: int) -> None:
    """Time a process that writes and prints the report."""
    command = [sys.executable, "-m", "fusionbench.cli", "report", str(suite), "--no-pictures"]
    started = time.perf_counter()
    done = subprocess.run([*command, "--results", str(folder / "results")], stdout=subprocess.DEVNULL, check=False)
    wall, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"report ended with {done.returncode}")
    print(
        f"report of {count:,} records: {wall:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor, "
        f"{used.ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
