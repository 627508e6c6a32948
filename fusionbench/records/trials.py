"""The trials of final runs, as the records of a suite have them by now: the same for plan, run, shards and status."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from fusionbench.plan.suite import RunSpec
from fusionbench.plan.tracks import Trial, chooses_rate, learning_rates, trial_at
from fusionbench.records.store import Store


def rates_of(run: RunSpec, store: Store) -> tuple[float, ...]:
    """The learning rates that a final run is tried at, or its one rate if it has no choice."""
    return learning_rates(run, _looked_up(store))


def trials_of(run: RunSpec, store: Store) -> tuple[RunSpec, ...]:
    """The trials on whose validation scores a final run's learning rate is chosen, as far as is known by now."""
    return tuple(trial_at(run, rate) for rate in rates_of(run, store)) if chooses_rate(run) else ()


def all_trials(runs: Iterable[RunSpec], store: Store) -> list[RunSpec]:
    """The trials of several runs, each once."""
    became, found = _looked_up(store), dict[str, RunSpec]()
    for run in runs:
        if chooses_rate(run):
            trials = (trial_at(run, rate) for rate in learning_rates(run, became))
            found.update({trial.key: trial for trial in trials})
    return list(found.values())


def _looked_up(store: Store) -> Callable[[RunSpec], Trial | None]:
    """What became of a trial; each record is read once."""
    seen: dict[str, Trial | None] = {}

    def became(trial: RunSpec) -> Trial | None:
        if trial.key not in seen:
            seen[trial.key] = _became(trial, store)
        return seen[trial.key]

    return became


def _became(trial: RunSpec, store: Store) -> Trial | None:
    record = store.read(trial)
    if record is None:
        return None
    if record.status != "done":
        return Trial(record.status, (-math.inf, -math.inf))
    score, nll = (record.validation[f"validation/{name}"] for name in (record.task["metric"], "nll"))
    return Trial("done", (score, -nll))
