"""Tuning: what a run takes over from its trials, which were never tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fusionbench.core.errors import Diverged, UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.plan.tracks import chooses_rate, trial_at
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.trials import rates_of


@dataclass(frozen=True)
class Chosen:
    """A learning rate, and what it was chosen by."""

    learning_rate: float
    validation: dict[str, float | None]
    """By the learning rate as text, the validation score of its trial; None where it did not end well."""


def chosen_learning_rate(run: RunSpec, store: Store) -> Chosen:
    """The learning rate of the trial with the best validation score; ties go to the lower validation NLL.

    Raises:
        UserError: a trial has no record.
        Diverged: all trials did.
        RuntimeError: no trial ended well, for another reason.
    """
    rates = rates_of(run, store)
    if not chooses_rate(run):
        return Chosen(rates[0], {})
    records = dict(zip(rates, _records(run, rates, store), strict=True))
    done = {rate: record for rate, record in records.items() if record.status == "done"}
    if not done:
        reasons = "; ".join(f"{rate}: {record.reason}" for rate, record in records.items())
        ended = "diverged" if all(record.status == "diverged" for record in records.values()) else "failed"
        message = f"every trial {ended}: {reasons}"
        raise Diverged(message) if ended == "diverged" else RuntimeError(message)
    best = max(done, key=lambda rate: (_score(done[rate]), -done[rate].validation["validation/nll"]))
    return Chosen(best, {f"{rate}": _score(done[rate]) if rate in done else None for rate in rates})


def _records(run: RunSpec, rates: tuple[float, ...], store: Store) -> Iterator[Record]:
    for trial in (trial_at(run, rate) for rate in rates):
        record = store.read(trial)
        if record is None:
            raise UserError(
                f"{run.key}: its trial {trial.key} has no record; another runner may be at it, the same command goes on"
            )
        yield record


def _score(record: Record) -> float:
    return record.validation[f"validation/{record.task['metric']}"]
