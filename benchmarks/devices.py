"""What several devices cost and give on this machine: seconds to start a group, and how much faster it trains than one.

Start-up is the wall time of a group that comes together and parts, less that of one process that does nothing, both
from the server that has imported torch. Training is that of whole runs of concat on digits (small_cnn), by the seconds
that their records state; one process with one thread against `--devices` of them, the global batch the same.

    python benchmarks/devices.py [--devices 2] [--epochs 20] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from fusionbench.api.progress import LineWatcher
from fusionbench.bench.jobs import Place
from fusionbench.engines.gpus import visible_gpus
from fusionbench.engines.runner import Runner
from fusionbench.engines.selftest import SelfTest
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Suite
from fusionbench.records.environment import environment

SILENT = LineWatcher(0, 0, lambda _: None)


def main() -> None:
    """Time start-up and training in turn, round by round."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--devices", type=int, default=2)
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    starts = []
    for batch_size in (128, 1024):
        suite = _suite(chosen.epochs, batch_size)
        ratios = []
        for _ in range(chosen.rounds):
            with tempfile.TemporaryDirectory() as folder:
                place = Place(Path(folder), suite.name, None, 1, environment())
                test = SelfTest(suite, place, chosen.devices, visible_gpus(), SILENT)
                one, several = _seconds(test, 1), _seconds(test, chosen.devices)
                ratios.append(one / several)
                backend, seconds = test.start_up()
                starts.append(seconds)
        print(
            f"batch {batch_size}: {chosen.devices} devices train {statistics.median(ratios):.2f} times as fast as one "
            f"(rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; {os.cpu_count()} cores, {backend})"
        )
    print(f"start-up of a group of {chosen.devices}: {statistics.median(starts):.2f} s more than of one process")


def _suite(epochs: int, batch_size: int) -> Suite:
    budget = f"{{epochs: {epochs}, batch_size: {batch_size}, dropout: 0.1}}"
    text = f"{{name: devices, datasets: [digits], strategies: [concat], seeds: 1, budget: {budget}}}"
    return suite_of(parse_source(text, "devices"))


def _seconds(test: SelfTest, devices: int) -> float:
    """Of training one run."""
    results = test.place.results / str(devices)
    place = Place(results, test.place.suite, None, 1, test.place.environment)
    runner = Runner(test.suite, place, 1, SILENT, devices, test.gpus)
    runs = list(test.suite.runs())
    runner.run(runs)
    record = runner.store.read(runs[0])
    assert record is not None
    return record.train_seconds


if __name__ == "__main__":
    main()
