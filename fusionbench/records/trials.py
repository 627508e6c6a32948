"""The trials of final runs, as the records of a suite have them by now: the same for plan, run, shards and status."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from fusionbench.core.scores import rank
from fusionbench.plan import tracks
from fusionbench.plan.suite import RunSpec
from fusionbench.plan.tracks import Trial, has_trials
from fusionbench.records.record import Record
from fusionbench.records.store import Store


def rates_of(run: RunSpec, store: Store) -> tuple[float, ...]:
    """The learning rates that a final run of matched parameters is tried at, or its one rate if it has no choice."""
    return tracks.learning_rates(run, _looked_up(store))


def trials_of(run: RunSpec, store: Store) -> tuple[RunSpec, ...]:
    """The trials by whose validation scores something is chosen for a final run, as far as is known by now."""
    return tracks.trials_of(run, _looked_up(store))


def all_trials(runs: Iterable[RunSpec], store: Store) -> list[RunSpec]:
    """The trials of several runs, each once; all seeds of a row share theirs."""
    rows = {replace(run, seed=0).key: run for run in runs if has_trials(run)}
    became, found = _looked_up(store), dict[str, RunSpec]()
    for run in rows.values():
        found.update({trial.key: trial for trial in tracks.trials_of(run, became)})
    return list(found.values())


def ended(record: Record) -> Trial:
    """What became of a trial that has a record."""
    if record.status != "done":
        return Trial(record.status, (-math.inf, -math.inf))
    return Trial("done", rank(record.validation, record.task["metric"]))


def best_of(points: Sequence[Sequence[Trial]]) -> int | None:
    """Which point has the best mean validation score over its trials, one for each trial seed; None: none ended well.

    A point with a trial that did not end well is behind every one without; ties go to the lower mean NLL or
    RMSE, then to the earlier point.
    """
    means = [_means([trial.rank for trial in trials if trial.status == "done"]) for trials in points]
    best = max(range(len(means)), key=lambda index: means[index])
    return best if means[best][0] else None


def _means(ranks: Sequence[tuple[float, float]]) -> tuple[int, float, float]:
    """How many there are, and the mean of both parts."""
    if not ranks:
        return 0, -math.inf, -math.inf
    score, tie = (fmean(part) for part in zip(*ranks, strict=True))
    return len(ranks), score, tie


def _looked_up(store: Store) -> Callable[[RunSpec], Trial | None]:
    """What became of a trial; each record is read once."""
    seen: dict[str, Trial | None] = {}

    def became(trial: RunSpec) -> Trial | None:
        key = trial.key
        if key not in seen:
            record = store.read(trial)
            seen[key] = None if record is None else ended(record)
        return seen[key]

    return became
