"""A suite with a record of every status, published through the real store without any training."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from fusionbench.cli.main import main
from fusionbench.plan.load import load_suite
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.record import DataFacts, Record, Status
from fusionbench.records.resamples import Resamples
from fusionbench.records.store import Store

TREE = {
    "name": "tiny",
    "datasets": ["digits"],
    "strategies": ["concat", "late"],
    "seeds": 2,
    "budget": {"epochs": 3},
    "measures": ["size"],
}
STATUSES: tuple[Status, ...] = ("done", "diverged", "failed", "skipped")


@dataclass
class Published:
    """A folder with `tiny.yaml`, and results with a record for each of its four runs."""

    folder: Path
    suite: Suite
    store: Store

    @property
    def runs(self) -> list[RunSpec]:
        return list(self.suite.runs())

    @property
    def wandb(self) -> Path:
        """Where W&B's files lie."""
        return self.store.root / "wandb"

    def records(self) -> dict[str, bytes]:
        """Every record's bytes, by its key."""
        return {run.key: self.store.path(run).read_bytes() for run in self.runs}

    def record(self, run: RunSpec) -> Record:
        found = self.store.read(run)
        assert found is not None
        return found

    def call(self, verb: str, *words: str) -> int:
        """`fusionbench VERB tiny.yaml` on these results, in this process; its exit code."""
        return main(self.words(verb, *words))

    def words(self, verb: str, *words: str) -> list[str]:
        return [verb, str(self.folder / "tiny.yaml"), "--results", str(self.folder / "results"), *words]


def published(folder: Path) -> Published:
    """Make it; the runs' statuses are `STATUSES` in their order."""
    (folder / "tiny.yaml").write_text(json.dumps(TREE))
    suite = load_suite(str(folder / "tiny.yaml"))
    made = Published(folder, suite, Store(folder / "results", suite.name))
    for number, (run, status) in enumerate(zip(made.runs, STATUSES, strict=True)):
        made.store.publish(made_up(run, status, number))
    values = {"fusion_parameters": 2890, "flops_per_sample": 0.1 + 0.2}
    made.store.publish_measure(made.runs[0], "size", values)
    resamples = Resamples(made.runs[0].key, "a" * 64, "rows", 360, 2, {"test/accuracy": [0.5, 0.25]})
    made.store.publish_resamples(made.runs[0], resamples)
    return made


def made_up(run: RunSpec, status: Status = "done", number: int = 0) -> Record:
    """A record as the runner would leave it; its numbers have all their digits."""
    task = {"kind": "multiclass", "metric": "accuracy", "modalities": [{"name": "left", "shape": [64]}]}
    empty = Record(run.key, run.to_json(), status, task=task, environment={"host": "ab12", "torch": "2.15.0"})
    if status in ("failed", "skipped"):
        return replace(empty, reason="RuntimeError: no idea")
    third = (number + 1) / 3
    curves = {"train/loss": [1.7, 0.1 + 0.2, third], "validation/accuracy": [0.5, 2 / 3, 0.6]}
    if status == "diverged":
        curves["validation/accuracy"] = [0.5, 2 / 3]
        return replace(empty, reason="the training loss was not finite in epoch 3", curves=curves, epochs_run=3)
    return replace(
        empty,
        scores={"test/accuracy": third, "test/nll": 1 / 7},
        validation={"validation/accuracy": 2 / 3, "epoch": 2.0},
        curves=curves,
        test_evaluations=1,
        train_seconds=1.25,
        epochs_run=3,
        data=DataFacts("digits", "f1" * 32, "0a" * 32, {"train": 1292, "validation": 144, "test": 361}),
    )


def timed(made: Published, median_ms: float, started: str) -> None:
    """Publish a latency session over the suite's strategies."""
    names = sorted({slug("strategy", run.strategy) for run in made.runs})
    row: dict[str, object] = {"batch_size": 1, "threads": 1, "p10_ms": 0.01, "median_ms": median_ms, "p90_ms": 0.5}
    row |= {"device": "cpu", "calls": 300, "spread": 0.1}
    rows = [{**row, "strategy": name, "scope": scope} for name in names for scope in ("fusion", "end_to_end")]
    session = {"started": started, "device": "a processor", "options": {"seconds": 2.0}, "rows": rows}
    made.store.publish_latency(made.runs[0].dataset, session)
