"""Tuning: what a run takes over from its trials, which were never tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fusionbench.core.errors import Diverged, UserError
from fusionbench.fusion.base import Optimiser, Setting
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import TUNED, RunSpec
from fusionbench.plan.tracks import has_trials, trial_at
from fusionbench.plan.tuned import points, trials_at
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.trials import best_of, ended, rates_of


@dataclass(frozen=True)
class Chosen:
    """What a run trains with, and what that was chosen by."""

    budget: Budget
    own: Mapping[str, Any] = field(default_factory=dict)
    """Options of the strategy, in the place of the suite's."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The choice as a record states it; empty where there was none."""

    def applied(self, setting: Setting) -> Setting:
        """The setting with what was chosen."""
        solved = {**setting.solved, **self.own}
        return replace(setting, optimiser=Optimiser.of(self.budget), dropout=self.budget.dropout, solved=solved)


def chosen_by_trials(run: RunSpec, store: Store) -> Chosen:
    """What the best trials on validation say: the rate of the best, or the point whose mean over seeds is best.

    Raises:
        UserError: a trial has no record.
        Diverged: all trials did.
        RuntimeError: no trial ended well, for another reason.
    """
    if run.track.name == TUNED:
        return _best_point(run, store) if has_trials(run) else Chosen(run.budget)
    return _best_rate(run, store)


def _best_rate(run: RunSpec, store: Store) -> Chosen:
    """As `best_of` says."""
    rates = rates_of(run, store)
    if not has_trials(run):
        return Chosen(replace(run.budget, learning_rate=rates[0]))
    records = _records(run, [trial_at(run, rate) for rate in rates], store)
    best = best_of([[ended(record)] for record in records])
    if best is None:
        raise _without_any(records, [f"{rate}: {r.reason}" for rate, r in zip(rates, records, strict=True)])
    scores = {f"{rate}": _score(record) for rate, record in zip(rates, records, strict=True)}
    facts = {"learning_rate": rates[best], "trials": scores}
    return Chosen(replace(run.budget, learning_rate=rates[best]), facts=facts)


def _best_point(run: RunSpec, store: Store) -> Chosen:
    tried, seeds = points(run), run.track.options["trial_seeds"]
    records = [_records(run, trials_at(run, point), store) for point in tried]
    best = best_of([[ended(record) for record in found] for found in records])
    if best is None:
        every = [record for found in records for record in found]
        reasons = Counter(record.reason for record in every).most_common(3)
        raise _without_any(every, [f"{count} of them: {reason}" for reason, count in reasons])
    point = tried[best]
    facts = {
        "learning_rate": point.learning_rate,
        "weight_decay": point.weight_decay,
        "dropout": point.dropout,
        **({"own": dict(point.own)} if point.own else {}),
        "tuning": {"best": best, "seeds": seeds, "validation": [[_score(r) for r in found] for found in records]},
    }
    return Chosen(point.laid_over(run.budget), point.own, facts)


def _records(run: RunSpec, trials: Sequence[RunSpec], store: Store) -> list[Record]:
    found = []
    for trial in trials:
        record = store.read(trial)
        if record is None:
            raise UserError(
                f"{run.key}: its trial {trial.key} has no record; another runner may be at it, the same command goes on"
            )
        found.append(record)
    return found


def _without_any(records: Sequence[Record], reasons: Sequence[str]) -> Exception:
    """The error of a run whose trials all ended badly."""
    diverged = all(record.status == "diverged" for record in records)
    message = f"every trial {'diverged' if diverged else 'failed'}: {'; '.join(reasons)}"
    return Diverged(message) if diverged else RuntimeError(message)


def _score(record: Record) -> float | None:
    return record.validation[f"validation/{record.task['metric']}"] if record.status == "done" else None
