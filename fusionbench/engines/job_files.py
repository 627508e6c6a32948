"""Where a suite's jobs keep their files, which of them are done, and what becomes of one that crashed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fusionbench.bench.jobs import ExplainJob, ExportJob, Job, LatencyJob, MeasureJob, Message, TimeJob, TrainJob
from fusionbench.core.errors import UserError
from fusionbench.engines.lacking import lacking_measures
from fusionbench.engines.logs import remove_if_empty
from fusionbench.engines.titles import title
from fusionbench.plan.suite import RunSpec
from fusionbench.records.checkpoints import drop_checkpoints
from fusionbench.records.claims import LOCK, SESSION, Claims
from fusionbench.records.record import Record
from fusionbench.records.store import LATENCY, LOG, Store


@dataclass
class JobFiles:
    """Where a suite's jobs keep their files: what a pool asks before and after each."""

    store: Store
    again: frozenset[str] = frozenset()
    timed: Callable[[LatencyJob], bool] = lambda _: False
    """Whether a latency session is there by now."""

    def lock(self, job: Job) -> Path | None:
        """Its lock file: beside its record, or beside other latency sessions; None: it needs no claim."""
        if isinstance(job, LatencyJob):
            return session_lock(self.store, job.runs[0])
        return self.store.path(job.run, LOCK) if isinstance(job, TrainJob | MeasureJob) else None

    def log(self, job: Job) -> Path | None:
        """Where its output goes: beside the record; None: where ours goes, as preparing talks to the user."""
        if isinstance(job, TrainJob | MeasureJob | ExportJob | ExplainJob) and not job.place.debug:
            return self.store.path(job.run, LOG)
        return None

    def is_done(self, job: Job) -> bool:
        """Whether a record is there that this call would not do again."""
        if isinstance(job, LatencyJob):
            return self.timed(job)
        if isinstance(job, MeasureJob):
            return not lacking_measures(self.store, job.measures, [job.run])
        return isinstance(job, TrainJob) and not self.store.is_wanted(job.run, self.again)

    def crashed(self, job: Job, reason: str, log: Sequence[str] = ()) -> Message:
        """A failed record for training, a reason for timed steps; anything else is an error of the whole suite.

        Args:
            job: whose process ended without a record, as far as it said.
            reason: why.
            log: the last of its output.
        """
        if isinstance(job, TimeJob):
            return Message("finished", "failed", facts={"reason": reason})
        if not isinstance(job, TrainJob):
            raise UserError(f"{title(job)}: {reason}; the same command with --debug shows what it said")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = Record(
            job.run.key,
            job.run.to_json(),
            "failed",
            reason,
            threads=job.place.threads,
            devices=job.devices,
            environment=job.place.environment,
            started=now,
            finished=now,
            log=list(log),
        )
        published = self.store.publish(record)
        drop_checkpoints(self.store, [job.run])
        if not published and (there := self.store.read(job.run)):  # Ended after its record, before it said so.
            return Message("finished", there.status, facts={"score": there.score, "seconds": there.train_seconds})
        return Message("finished", "failed", facts={"reason": reason, "score": None, "seconds": 0.0})


def session_lock(store: Store, run: RunSpec) -> Path:
    """The claim on latency sessions of the run's dataset."""
    return store.folder(run.dataset) / LATENCY / SESSION


def clear_leftovers(store: Store, runs: Iterable[RunSpec]) -> None:
    """Remove what killed runners left: half-written files, dead claims, empty logs, checkpoints of done runs."""
    runs = list(runs)
    store.sweep()
    datasets = {id(run.dataset): run for run in runs}  # Runs share their choices; each has one place.
    locks = {store.path(run, LOCK) for run in runs}
    for lock in locks | {session_lock(store, run) for run in datasets.values()}:
        Claims.clear_if_dead(lock)
    for folder in {lock.parent for lock in locks}:
        for log in folder.glob(f"*{LOG}"):  # Of a run that several devices train each has one.
            if Claims.clear_if_dead(folder / f"{log.name.partition('.')[0]}{LOCK}"):  # Else it is being written.
                remove_if_empty(log)
    drop_checkpoints(store, (run for run in runs if store.status(run) == "done"))
