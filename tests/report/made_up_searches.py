"""A made-up suite with the track `tuned`: trials with given validation scores, finals that took over the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_up_orders import bench_of, fill
from made_up_suite import Bench

from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.plan.tracks import has_trials
from fusionbench.plan.tuned import points, trials_at
from fusionbench.records.record import DataFacts, Record, Status
from fusionbench.records.resamples import Resamples

SUITE = """
name: mine
datasets: [digits]
strategies: [chance, late, concat, low_rank]
seeds: 4
tracks: [same_encoders, {name: tuned, options: {trials: 4}}]
"""
SPLIT = DataFacts("digits", "f1" * 32, "0" * 64, {"train": 1293, "validation": 144, "test": 360})
SCORES: Mapping[str, Sequence[Sequence[float | Status]]] = {
    "late": [[0.80, 0.82], [0.90, 0.92], [0.70, 0.70], [0.60, 0.64]],
    "concat": [[0.90, 0.90], [0.85, 0.87], [0.94, 0.96], ["diverged", 0.99]],
    "low_rank": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.6, 0.6]],
}
"""On validation, by strategy, point and trial seed; or how a trial ended."""
TUNED = {"chance": 0.1, "late": 0.86, "concat": 0.95, "low_rank": 0.93}
DEFAULT = {"chance": 0.1, "late": 0.80, "concat": 0.95, "low_rank": 0.94}


def made(folder: Path, text: str = SUITE, scores: Mapping[str, Sequence[Sequence[float | Status]]] = SCORES) -> Bench:
    """The suite with all trials and finals done."""
    bench = bench_of(folder, text)
    plain = [track for track in bench.suite.tracks if track.name == "same_encoders"]
    rows = tuple(row for row in bench.suite.rows if row.track in plain)
    fill(Bench(replace(bench.suite, rows=rows, tracks=tuple(plain)), bench.store), DEFAULT, seed_error=0.003)
    for run in bench.suite.runs():
        if run.track.name == "tuned":
            name = slug("strategy", run.strategy)
            if has_trials(run) and run.seed == 0:
                tried(bench, run, scores[name])
            finished(bench, run, TUNED[name], scores.get(name))
    return bench


def tried(bench: Bench, run: RunSpec, scores: Sequence[Sequence[float | Status]]) -> None:
    """The records of a run's trials."""
    for point, row in zip(points(run), scores, strict=True):
        for trial, score in zip(trials_at(run, point), row, strict=True):
            if isinstance(score, str):
                bench.ended(trial, score, "loss is nan")
                continue
            validation = {"validation/accuracy": score, "validation/nll": 1 - score, "epoch": 3.0}
            ours = {"scores": {}, "test_evaluations": 0, "validation": validation, "data": SPLIT}
            assert bench.store.publish(bench.record(trial, score, **ours))


def finished(
    bench: Bench, run: RunSpec, mean: float, scores: Sequence[Sequence[float | Status]] | None, error: float = 0.002
) -> Record:
    """A final run's record, with luck of its seed; resamples pair off with those of `made_up_orders.fill`."""
    draw = np.random.default_rng([run.seed, len(run.strategy.name)])
    score = mean + error * float(draw.normal())
    rows = np.random.default_rng(3).normal(score, 0.002, 400).tolist()
    bench.store.publish_resamples(run, Resamples(run.key, "d" * 64, "rows", 360, 400, {"test/accuracy": rows}))
    record = bench.record(run, score, options=options_of(run, scores) if scores else {})
    assert bench.store.publish(record)
    return record


def options_of(run: RunSpec, scores: Sequence[Sequence[float | Status]]) -> dict[str, Any]:
    """What a final run's record says of its search."""
    values = [[None if isinstance(score, str) else score for score in row] for row in scores]
    whole = [sum(score for score in row if score is not None) if None not in row else -1.0 for row in values]
    best = max(range(len(whole)), key=lambda index: whole[index])
    point, seeds = points(run)[best], run.track.options["trial_seeds"]
    own = {"own": dict(point.own)} if point.own else {}
    tuning = {"best": best, "seeds": seeds, "validation": values}
    chosen = {name: getattr(point, name) for name in ("learning_rate", "weight_decay", "dropout")}
    return {"width": 64, "head_width": 64, **chosen, **own, "tuning": tuning}
