"""How long what is left of a suite takes here: every trial, encoder, run and session, with so many workers at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fusionbench.bench.jobs import Job
from fusionbench.engines.estimates import Estimates, packed
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import RunSpec
from fusionbench.records.glances import MISSING
from fusionbench.records.store import Store


@dataclass
class Foresight:
    """Of some runs of a suite, as things stand."""

    runner: Runner
    runs: Sequence[RunSpec]
    estimates: Estimates

    @property
    def store(self) -> Store:
        """The suite's records."""
        return self.runner.store

    def all_that_is_left(self) -> float | None:
        """Seconds of all that is not done; None: nothing is known of any of it."""
        waiting = self.waiting()
        latency = self.runner.suite.measure("latency")
        sessions = self.runner.untimed(self.runs, latency.options) if latency else []
        timed = sum(self.estimates.of(job) or 0.0 for job in sessions)
        found = self._wall(self._stages(waiting))
        return None if found is None else found + timed + self.estimates.of_trunks(waiting)

    def first_seed(self) -> float | None:
        """Seconds of all that the first seed needs which is not whole; None: nothing is known."""
        found, runs = self._wall(self._stages(self._of_first_seed())), self._of_first_seed()
        return None if found is None else found + self.estimates.of_trunks(runs)

    def strategies_within(self, seconds: float) -> list[str]:
        """Those strategies, in the suite's order, whose first open seed is done by then, whole, on every dataset."""
        runs, found = self._of_first_seed(), list[str]()
        for name in dict.fromkeys(run.strategy.name for run in runs):
            wall = self._wall(self._stages([run for run in runs if run.strategy.name in {*found, name}]))
            if wall is not None and wall <= seconds:
                found.append(name)
        return found

    def waiting(self) -> list[RunSpec]:
        """Those of the runs that are not done."""
        return [run for run in self.runs if self.store.status(run) in MISSING]

    def unknown(self) -> list[RunSpec]:
        """A run of each row of which nothing is known."""
        rows: dict[str, RunSpec] = {}
        for run in self.waiting():
            rows.setdefault(self.estimates.row_of(run), run)
        return [run for run in rows.values() if self.estimates.of_run(run) is None]

    def _of_first_seed(self) -> list[RunSpec]:
        waiting = self.waiting()
        return [run for run in waiting if run.seed == waiting[0].seed]

    def _stages(self, runs: Sequence[RunSpec]) -> list[Sequence[Job]]:
        """Jobs that are done at a time; the next stage begins when one is over."""
        stages: list[Sequence[Job]] = []
        for several in (self.runner.trials(runs), runs):
            for _, of_seed in groupby(sorted(several, key=lambda run: run.seed), key=lambda run: run.seed):
                found = list(of_seed)
                stages += [self.runner.encodings.pretraining(found), self.runner.encodings.jobs(found)]
                stages.append([self.runner.training(run) for run in found])
        return [stage for stage in stages if stage]

    def _wall(self, stages: Sequence[Sequence[Job]]) -> float | None:
        known = [self.estimates.filled(stage) for stage in stages]
        # Encoders of which nothing is known count as nothing; runs of which nothing is known leave all unknown.
        if not stages or known[-1] is None:
            return None if stages else 0.0
        return sum(packed(seconds, self.runner.workers) for seconds in known if seconds is not None)
