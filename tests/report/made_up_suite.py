"""Suites and records made up for the report, published through the real store."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.record import DataFacts, Record, Status
from fusionbench.records.store import Store

FINGERPRINT = "f1" * 32


@dataclass
class Bench:
    """One suite, its store, and ways to fill it."""

    suite: Suite
    store: Store

    def runs(self, strategy: str = "") -> list[RunSpec]:
        """All runs, or those of one strategy by its slug."""
        return [run for run in self.suite.runs() if strategy in ("", slug("strategy", run.strategy))]

    def record(self, run: RunSpec, accuracy: float, **changes: Any) -> Record:
        """A done record, not published."""
        split = f"{run.seed:064x}"
        return replace(
            Record(
                key=run.key,
                spec=run.to_json(),
                status="done",
                task={"kind": "multiclass", "classes": 10, "metric": "accuracy", "modalities": []},
                scores={"test/accuracy": accuracy, "test/macro_f1": accuracy - 0.01, "test/nll": 1 - accuracy},
                curves={"train/loss": [0.9, 0.5], "validation/accuracy": [accuracy / 2, accuracy]},
                test_evaluations=1,
                train_seconds=1.25,
                epochs_run=20,
                data=DataFacts("digits", FINGERPRINT, split, {"train": 1293, "validation": 144, "test": 360}),
            ),
            **changes,
        )

    def done(self, run: RunSpec, accuracy: float, **changes: Any) -> None:
        """Publish a done record."""
        assert self.store.publish(self.record(run, accuracy, **changes))

    def ended(self, run: RunSpec, status: Status, reason: str) -> None:
        """Publish a record of a run that has no scores."""
        assert self.store.publish(Record(run.key, run.to_json(), status, reason))

    def size(self, run: RunSpec, fusion: int, encoders: int = 9_000) -> None:
        """Publish a size."""
        values = {"fusion_parameters": fusion, "encoder_parameters": encoders, "trained_parameters": fusion + encoders}
        flops = {"flops_per_sample": 2.0 * (fusion + encoders), "fusion_flops_per_sample": 2.0 * fusion}
        self.store.publish_measure(run, "size", {**values, **flops})

    def timed(self, medians: Mapping[str, float], **changes: Any) -> None:
        """Publish a latency session with these end-to-end medians at batch 1."""
        spread, calls = changes.pop("spread", 0.02), changes.pop("calls", 400)
        rows = [
            {"strategy": name, "scope": scope, "batch_size": batch, "threads": threads, "device": "cpu", "rounds": 3}
            | {"calls": calls, "seconds": 1.98, "spread": spread}
            | {f"{what}_ms": ms * factor * scale * (1 + batch / 64) for what, scale in
               (("p10", 0.9), ("median", 1.0), ("p90", 1.2))}
            for name, ms in medians.items()
            for scope, factor in (("fusion", 0.25), ("end_to_end", 1.0))
            for batch in (1, 64)
            for threads in (1, 2)
        ]  # fmt: skip
        session = {"options": {"seconds": 2.0}, "device": "Acme 9000", "environment": {}, "rows": rows}
        self.store.publish_latency(
            self.suite.datasets[0], {**session, "started": "2026-01-02T03:04:05+00:00", **changes}
        )

    def fill(self, means: Mapping[str, float], sd: float = 0.01) -> None:
        """Records and sizes of every run, scores drawn around the means."""
        for run in self.suite.runs():
            name = slug("strategy", run.strategy)
            rng = np.random.default_rng([run.seed, zlib.crc32(name.encode())])
            self.done(run, min(1.0, float(rng.normal(means[name], sd))))
            self.size(run, zlib.crc32(name.encode()) % 90_000 + 1_000)


def make(folder: Path, *strategies: str, seeds: int = 3, dataset: str = "digits", more: str = "") -> Bench:
    """A bench of the named strategies on one dataset, nothing published yet; `more` lines of the suite."""
    text = f"name: mine\ndatasets: [{dataset}]\nstrategies: [{', '.join(strategies)}]\nseeds: {seeds}\n{more}\n"
    suite = suite_of(parse_source(text, "mine.yaml"))
    return Bench(suite, Store(folder / "results", suite.name))
