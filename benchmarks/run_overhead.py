"""Seconds that an isolated run costs beyond its training: process, data, model, size, test, publishing.

One worker does `--runs` runs of concat on digits one after the other; the overhead is the wall time of all of them less
the seconds that their records state for training, divided by their number. Starting the server that workers are forked
from (once per suite) and preparing the data are done before the clock starts, and printed apart.

    python benchmarks/run_overhead.py [--runs 20] [--epochs 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from fusionbench.api.progress import LineWatcher
from fusionbench.bench.jobs import Place
from fusionbench.engines.runner import Runner
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.records.environment import environment

SILENT = LineWatcher(0, 0, lambda _: None)


def main() -> None:
    """Prepare, then time the runs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--epochs", type=int, default=3)
    chosen = options.parse_args()
    text = (
        f"{{name: overhead, datasets: [digits], strategies: [concat], seeds: {chosen.runs}, "
        f"budget: {{epochs: {chosen.epochs}}}}}"
    )
    suite = suite_of(parse_source(text, "run_overhead"))
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(suite, Place(Path(folder), suite.name, None, 1, environment()), 1, SILENT)
        started = time.perf_counter()
        runner.prepare(suite.runs())
        prepared = time.perf_counter()
        runner.run(list(suite.runs()))
        wall = time.perf_counter() - prepared
        records = [runner.store.read(run) for run in suite.runs()]
    training = sum(record.train_seconds for record in records if record is not None)
    print(f"server start and data: {prepared - started:.1f} s, once per suite")
    print(f"{chosen.runs} runs: {wall:.2f} s, of which training {training:.2f} s")
    print(f"overhead per run: {(wall - training) / chosen.runs:.3f} s")


if __name__ == "__main__":
    main()
