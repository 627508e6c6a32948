"""A suite from plan to records: what is done is skipped, what fails is recorded, what was interrupted goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fusionbench.bench.jobs import (
    SESSION_MEASURES,
    Job,
    LatencyJob,
    MeasureJob,
    Message,
    Place,
    PrepareJob,
    PretrainJob,
    TrainJob,
)
from fusionbench.bench.launch import Pool, Watcher
from fusionbench.core.canonical import canonical_json
from fusionbench.core.errors import UserError
from fusionbench.plan.load import slug
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.claims import Claims
from fusionbench.records.record import Record
from fusionbench.records.store import LATENCY, Store


@dataclass
class Runner:
    """One suite, one results folder, one pool of workers."""

    suite: Suite
    place: Place
    workers: int
    watcher: Watcher
    devices: int = 1
    """So many processes train each run together."""
    gpus: tuple[str, ...] = ()
    """Those to share out among workers; see gpus.py."""
    store: Store = field(init=False)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.place.results, self.suite.name)
        self.pool = Pool(self.workers, self.watcher, self.gpus)

    # --- verbs ---------------------------------------------------------------------------------------------------

    def run(self, runs: Sequence[RunSpec], again: frozenset[str] = frozenset()) -> Counter[str]:
        """Train what is not done, take missing measures; how many of the runs have which status now.

        Args:
            runs: those of the suite's that are wanted.
            again: records of these statuses ("failed", "diverged", "skipped") do not count as done.

        Raises:
            UserError: the data are missing, wrong, or not those of the records that are there.
            KeyboardInterrupt: stopped; what is done is recorded, the same call goes on.
        """
        self.clear(runs)
        records = {run.key: self.store.read(run) for run in runs}
        pending = [run for run in runs if is_wanted(records[run.key], again)]
        unmeasured = [run for run in runs if self._missing_measures(run, records[run.key])]
        if pending or unmeasured:
            self.prepare(pending + unmeasured)
            desk = Desk(self.store, again)
            try:
                self.pool.run([TrainJob(self.place, run, self.suite.measures, self.devices) for run in pending], desk)
                self.pool.run([MeasureJob(self.place, run, self.suite.measures) for run in unmeasured], desk)
            finally:
                self.store.sweep()  # Of workers that were ended in the middle of writing.
        found = (self.store.read(run) for run in runs)
        return Counter("missing" if record is None else record.status for record in found)

    def prepare(self, runs: Iterable[RunSpec]) -> None:
        """Every dataset converted, every model built once, then encoders that are trained beforehand.

        Raises:
            UserError: something is missing or wrong, before any run of the suite trains.
        """
        runs = list(runs)
        # One at a time: each shows its own progress.
        for job, message in Pool(1, self.watcher, self.gpus).run(self.preparing(runs), Desk(self.store)):
            assert isinstance(job, PrepareJob)
            self.same_data(job, message)
        self.pool.run(self.pretraining(runs), Desk(self.store))

    def preparing(self, runs: Iterable[RunSpec]) -> list[PrepareJob]:
        """What `prepare` does first, a job per dataset."""
        return [PrepareJob(self.place, tuple(rows.values()), self.devices) for rows in _by_row(runs).values()]

    def pretraining(self, runs: Iterable[RunSpec]) -> list[PretrainJob]:
        """What `prepare` does then, a job per encoder that several runs share."""
        jobs = (PretrainJob(self.place, run, name) for run in runs for name in run.pretrained)
        return list({_shared_encoder(job.run, job.modality): job for job in jobs}.values())

    def latency(self, runs: Iterable[RunSpec], options: dict[str, object], *, anew: bool) -> list[Path]:
        """A latency session per dataset; unless `anew`, only where no session covers these strategies already."""
        jobs = [
            LatencyJob(self.place, tuple(rows.values()), options)
            for rows in _by_row(run for run in runs if self._runs_at_all(run)).values()
            if anew or not self._is_timed(rows, options)
        ]
        # One worker alone, and one runner at a time (the session is claimed): two at once would time each other.
        desk = Desk(self.store, timed=lambda job: not anew and self._is_timed(_rows_of(job.runs), options))
        return [Path(message.facts["path"]) for _, message in Pool(1, self.watcher, self.gpus).run(jobs, desk)]

    def clear(self, runs: Iterable[RunSpec]) -> None:
        """Remove what killed runners left: half-written files, and claims on what they had finished."""
        self.store.sweep()
        for run in runs:
            Claims.clear_if_dead(self.store.path(run, ".lock"))
            Claims.clear_if_dead(_session_lock(self.store, run))

    # --- what is there -------------------------------------------------------------------------------------------

    def _missing_measures(self, run: RunSpec, record: Record | None) -> bool:
        wanted = [choice.name for choice in self.suite.measures if choice.name not in SESSION_MEASURES]
        done = record is not None and record.status == "done"
        return done and any(self.store.read_measure(run, name) is None for name in wanted)

    def _runs_at_all(self, run: RunSpec) -> bool:
        """Whether nothing is known against the run: one that failed would take the whole session with it."""
        record = self.store.read(run)
        return record is None or record.status == "done"

    def _is_timed(self, rows: dict[str, RunSpec], options: dict[str, object]) -> bool:
        for session in self.store.read_latency(next(iter(rows.values())).dataset):
            same_host = session["environment"]["host"] == self.place.environment["host"]
            covered = {row["strategy"] for row in session["rows"]}
            if same_host and session["options"] == options and set(rows) <= covered:
                return True
        return False

    def same_data(self, job: PrepareJob, message: Message) -> None:
        """Records made from other data than those that are here now: an error, never a skip."""
        sample, fingerprint = job.runs[0], str(message.facts["fingerprint"])
        of_dataset = [run for run in self.suite.runs() if run.dataset == sample.dataset]
        records = [record for run in of_dataset if (record := self.store.read(run)) is not None]
        others = [r for r in records if r.status == "done" and r.data and r.data.fingerprint != fingerprint]
        if others:
            before = others[0].data.fingerprint if others[0].data else ""
            raise UserError(
                f"{sample.dataset.name}: the data have changed since {len(others)} of these runs were recorded "
                f"(fingerprint {before[:12]} then, {fingerprint[:12]} now).\n"
                f"Bring the old data back (--data), or give the new results their own folder (--results)."
            )


@dataclass
class Desk:
    """Where a suite's jobs keep their files; see launch.Desk."""

    store: Store
    again: frozenset[str] = frozenset()
    timed: Callable[[LatencyJob], bool] = lambda _: False
    """Whether a latency session is there by now."""

    def lock(self, job: Job) -> Path | None:
        """Training is claimed beside its record, a latency session beside the others."""
        if isinstance(job, LatencyJob):
            return _session_lock(self.store, job.runs[0])
        return self.store.path(job.run, ".lock") if isinstance(job, TrainJob) else None

    def log(self, job: Job) -> Path | None:
        """Beside the record; preparing talks to the user (downloads, conversion)."""
        if isinstance(job, TrainJob | MeasureJob) and not job.place.debug:
            return self.store.path(job.run, ".log")
        return None

    def is_done(self, job: Job) -> bool:
        """Whether a record is there that this call would not do again."""
        if isinstance(job, LatencyJob):
            return self.timed(job)
        return isinstance(job, TrainJob) and not is_wanted(self.store.read(job.run), self.again)

    def crashed(self, job: Job, reason: str) -> Message:
        """A failed record for training; anything else is an error of the whole suite."""
        if not isinstance(job, TrainJob):
            raise UserError(f"{type(job).__name__}: {reason}; try again with --workers 1 --debug")
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
        )
        self.store.publish(record)
        return Message("finished", "failed", facts={"reason": reason, "score": None, "seconds": 0.0})


def _session_lock(store: Store, run: RunSpec) -> Path:
    """The claim on latency sessions of the run's dataset."""
    return store.folder(run.dataset) / LATENCY / "session.lock"


def _by_row(runs: Iterable[RunSpec]) -> dict[str, dict[str, RunSpec]]:
    """By dataset, what `_rows_of` gives."""
    datasets: dict[str, list[RunSpec]] = {}
    for run in runs:
        datasets.setdefault(slug("dataset", run.dataset), []).append(run)
    return {dataset: _rows_of(found) for dataset, found in datasets.items()}


def _rows_of(runs: Iterable[RunSpec]) -> dict[str, RunSpec]:
    """By strategy, the first run of each."""
    rows: dict[str, RunSpec] = {}
    for run in runs:
        rows.setdefault(slug("strategy", run.strategy), run)
    return rows


def _shared_encoder(run: RunSpec, modality: str) -> str:
    """What decides an encoder that is trained beforehand, as text."""
    return canonical_json([run.dataset.to_json(), modality, run.encoders[modality].to_json(), run.seed])


def is_wanted(record: Record | None, again: frozenset[str]) -> bool:
    """Whether a run is still to be done."""
    return record is None or record.status in again
