"""Seconds that W&B's copy of a run costs, curves and summary included: as files, and on a server.

Mirrors `--runs` records of `--epochs` epochs with three curves, made up here. Importing wandb and starting its service
happen once a push and are printed apart: they are the time of a push of a single run, less one run's.

With --online the same records go to the server of $WANDB_BASE_URL and $WANDB_API_KEY as well, all in one push, then in
a second one that has nothing to send. A server on this machine: `pip install openwandb` (in an environment of its own),
`openwandb serve`. It asks bcrypt for the key in every request, a quarter of a second each time: what is measured then.

    python benchmarks/wandb_mirror.py [--runs 66] [--epochs 20] [--online]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.places import Target
from fusionbench.publish.sending import push
from fusionbench.records.environment import environment
from fusionbench.records.record import DataFacts, Record
from fusionbench.records.store import Store


def main() -> None:
    """Push one run, then all others."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=66)
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--online", action="store_true")
    chosen = options.parse_args()
    text = f"{{name: mirror, datasets: [digits], strategies: [concat], seeds: {chosen.runs + 1}}}"
    suite = suite_of(parse_source(text, "wandb_mirror"))
    curve = [1 / (epoch + 1) for epoch in range(chosen.epochs)]
    runs, here = list(suite.runs()), environment()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), suite.name)
        for run in runs:
            record = Record(
                run.key,
                run.to_json(),
                "done",
                scores={"test/accuracy": 1 / (run.seed + 3)},
                curves=dict.fromkeys(("train/loss", "validation/accuracy", "validation/nll"), curve),
                data=DataFacts("digits", "", "", {}),
                environment=here,
            )
            store.publish(record)
        target = Target("offline", "benchmark")
        times = [time.perf_counter()]
        for some in (runs[:1], runs[1:]):
            assert push(suite, store, some, target).sent == len(some)
            times.append(time.perf_counter())
        if chosen.online:
            _online(suite, store, runs[1:])
    rest = (times[2] - times[1]) / chosen.runs
    print(f"{chosen.runs} runs of {chosen.epochs} epochs: {rest:.3f} s a run")
    print(f"once a push, import of wandb included: {times[1] - times[0] - rest:.1f} s")


def _online(suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """Push to a server, twice; the runs lie there as files already."""
    for number in (len(runs), 0):
        began = time.perf_counter()
        assert push(suite, store, runs, Target("online", "benchmark")).sent == number
        seconds = time.perf_counter() - began
        print(f"{number} runs to the server: {seconds:.1f} s" + (f", {seconds / number:.2f} s a run" if number else ""))


if __name__ == "__main__":
    main()
