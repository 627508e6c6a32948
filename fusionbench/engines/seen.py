"""Runs that others do, as their records show: what is left, and each one told to a watcher when it is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fusionbench.bench.jobs import Message, TrainJob
from fusionbench.engines.lacking import is_at_hand, lacking_measures
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import RunSpec
from fusionbench.records.claims import LOCK
from fusionbench.records.store import Store
from fusionbench.records.trials import all_trials


class KnownStore(Store):
    """Records; old ones that are to be done again count as missing, until others lie in their place."""

    old: dict[str, str] = {}
    """By key, when the record was finished that does not count."""

    def is_wanted(self, run: RunSpec, again: Collection[str] = ()) -> bool:
        """Whether it is to be done; not twice because two were told so."""
        if super().is_wanted(run):
            return True
        record = self.read(run) if run.key in self.old else None
        return record is not None and record.finished == self.old[run.key]


class Seen:
    """The runs of a suite, while other processes do them."""

    def __init__(self, runner: Runner, runs: Sequence[RunSpec], again: frozenset[str]) -> None:
        self.runner, self.runs = runner, runs
        self.store = KnownStore(runner.place.results, runner.place.suite)
        known = [(run, self.store.read(run)) for run in (*all_trials(runs, self.store), *runs)]
        self.old = {run.key: record.finished for run, record in known if record and record.status in again}
        self.store.old = self.old
        self.left = {run.key: run for run in runs if self.store.is_wanted(run)}
        """By key, those that have no record yet."""
        self.had_work = bool(self.left)
        self.trials = self._trials()
        """Likewise, those that choose for them, as far as they are known."""
        self._begun: dict[str, TrainJob] = {}

    @property
    def count(self) -> int:
        """How much is left, trials too."""
        return len(self.left) + len(self.trials)

    def unmeasured(self) -> list[RunSpec]:
        """Runs whose measures are missing."""
        lacking = lacking_measures(self.store, self.runner.suite.measures, self.runs)
        return [run for run in lacking if is_at_hand(self.store, self.runner.suite.measures, run)]

    def look(self) -> None:
        """Tell the watcher what has begun and what has ended since the last time."""
        trials, self.trials = self.trials, self._trials()
        more = [key for key in self.trials if key not in trials]
        if more:
            self.runner.watcher.more(len(more))
        for run in (*trials.values(), *self.left.values()):
            if self.store.is_wanted(run):
                if run.key not in self._begun and self.store.path(run, LOCK).exists():
                    self._begin(run)
            else:
                self._end(run)
        self.left = {key: run for key, run in self.left.items() if self.store.is_wanted(run)}

    def _begin(self, run: RunSpec) -> None:
        self._begun[run.key] = self.runner.training(run)
        self.runner.watcher.started(self._begun[run.key])

    def _end(self, run: RunSpec) -> None:
        if run.key not in self._begun:
            self._begin(run)
        record = self.store.read(run)
        if record is not None:
            facts = {"score": record.score, "seconds": record.train_seconds, "reason": record.reason}
            self.runner.watcher.ended(self._begun.pop(run.key), Message("finished", record.status, facts=facts))

    def _trials(self) -> dict[str, RunSpec]:
        found = all_trials(self.left.values(), self.store)
        return {run.key: run for run in found if self.store.is_wanted(run)}
