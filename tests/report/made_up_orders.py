"""Made-up benches whose runs also have validation scores and resamples with halves."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from made_up_suite import Bench

from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.records.resamples import Resamples
from fusionbench.records.store import Store

MANY = ("late", "sum", "concat", "gated", "low_rank", "tensor", "film", "max")


def bench_of(folder: Path, text: str) -> Bench:
    """A bench of the suite that a text describes, nothing published yet."""
    suite = suite_of(parse_source(text, str(folder / "mine.yaml")))
    return Bench(suite, Store(folder / "results", suite.name))


def fill(
    bench: Bench,
    means: Mapping[str, float],
    *,
    seed_error: float = 0.002,
    row_error: float = 0.002,
    validation: Mapping[str, float] | None = None,
    halves: bool = True,
) -> None:
    """Every run done: its score the mean, and luck of its own by seed; resamples paired, halves that average to it."""
    for run in bench.suite.runs():
        name = slug("strategy", run.strategy)
        rng = np.random.default_rng([run.seed, zlib.crc32(name.encode()), zlib.crc32(bench.suite.name.encode())])
        score = means[name] + seed_error * float(rng.normal())
        rows = np.random.default_rng(zlib.crc32(name.encode())).normal(score, row_error, 400)
        shift = row_error * float(np.random.default_rng(zlib.crc32(name.encode()) + 1).normal())
        bench.store.publish_resamples(
            run,
            Resamples(
                run.key,
                "d" * 64,
                "rows",
                360,
                400,
                {"test/accuracy": rows.tolist()},
                {"test/accuracy": [score + shift, score - shift]} if halves else {},
            ),
        )
        bench.done(run, score, **_validation((validation or means)[name]))


def _validation(score: float) -> dict[str, Any]:
    return {"validation": {"validation/accuracy": score, "epoch": 3.0}}
