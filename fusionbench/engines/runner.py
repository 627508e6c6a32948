"""A suite from plan to records: what is done is skipped, what fails is recorded, what was interrupted goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path

from fusionbench.bench.jobs import Job, LatencyJob, MeasureJob, Message, Place, PrepareJob, TrainJob
from fusionbench.core.files import try_out
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.encodings import Encodings
from fusionbench.engines.job_files import JobFiles, clear_leftovers
from fusionbench.engines.lacking import lacking_measures, measured_without_training
from fusionbench.engines.local import Pool, Watcher
from fusionbench.engines.other_data import refuse_other_data
from fusionbench.engines.rows import grouped, row_name, rows_of, table_name
from fusionbench.plan.measures import needs
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.suite import Choice, RunSpec, Suite
from fusionbench.records.glances import MISSING
from fusionbench.records.store import Store
from fusionbench.records.trials import all_trials


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
    keep_encodings: bool = False
    """Whether stored encodings stay when the runs that read them are done."""
    known: InitVar[Store | None] = None
    """The suite's records, if somebody has looked at them already."""
    make_pool: Callable[[int, Watcher, tuple[str, ...]], Pool] = Pool
    """What trains, measures and times models: so many at a time, on these GPUs."""
    times_anywhere: bool = False
    """Whether it is no matter which machine a latency session was on."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Of the data here, once they are prepared, by the name of a dataset's folder."""
    store: Store = field(init=False)
    pool: Pool = field(init=False)
    encodings: Encodings = field(init=False)
    _stored_for: int | None = field(init=False, default=None)
    """The seed whose encodings are stored now."""

    def __post_init__(self, known: Store | None) -> None:
        self.store = known or Store(self.place.results, self.suite.name)
        self.pool = self.make_pool(self.workers, self.watcher, self.gpus)
        self.encodings = Encodings(self.place, self.pool, JobFiles(self.store), self.keep_encodings)

    # --- verbs ---------------------------------------------------------------------------------------------------

    def run(
        self, runs: Sequence[RunSpec], again: frozenset[str] = frozenset(), deadline: Deadline | None = None
    ) -> Counter[str]:
        """Train what is not done, take missing measures; how many of the runs have which status now.

        Args:
            runs: those of the suite's that are wanted; trials that choose something for them come first.
            again: records of these statuses ("failed", "diverged", "skipped") do not count as done.
            deadline: nothing begins that would not be done by then.

        Raises:
            UserError: the data are missing, wrong, or not those of the records that are there.
            KeyboardInterrupt: stopped; what is done is recorded, the same call goes on.
        """
        self.clear(runs)
        pending = [run for run in runs if self.store.is_wanted(run, again)]
        trials = self.trials(pending, again)
        unmeasured = measured_without_training(self.store, self.suite, runs, self.watcher.told)
        if pending or unmeasured:
            try_out(self.store.root)
            self.prepare(trials + pending + unmeasured)
            files = JobFiles(self.store, again)
            try:
                for several in self.rounds(trials, pending, again):
                    self.by_seed(several, self.training, files, deadline)
                if deadline is None or not self.trials(pending):  # Else nothing is chosen yet.
                    self.by_seed(pending, self.training, files, deadline)
                self._measure(unmeasured, files, deadline)
                self.encodings.forget()
                self.encodings.forget_trunks()
            finally:
                self.store.sweep()  # Of workers that were ended in the middle of writing.
        return Counter("missing" if status in MISSING else status for status in map(self.store.status, runs))

    def by_seed(
        self, runs: Sequence[RunSpec], job: Callable[[RunSpec], Job], files: JobFiles, deadline: Deadline | None = None
    ) -> None:
        """Seed by seed: what frozen encoders give is stored for one seed at a time, and stays until another comes."""
        for several in grouped(runs, lambda run: run.seed):
            tables = [[job(run) for run in found] for found in grouped(several, table_name)]
            jobs = [job(run) for run in several]
            if deadline is not None and (deadline.has_refused or not any(map(deadline.has_room_for, jobs))):
                return  # Seeds in order: what fits of later ones would compare with nothing.
            if self._stored_for not in (None, several[0].seed):
                self.encodings.forget()
            self._stored_for = several[0].seed
            if not self.encodings.make(several, deadline):
                return
            if deadline is not None:
                jobs = deadline.in_order(tables, self.workers)
            self.pool.run(jobs, files, deadline)

    def rounds(
        self, trials: list[RunSpec], runs: Sequence[RunSpec], again: frozenset[str] = frozenset()
    ) -> Iterator[list[RunSpec]]:
        """Trials round by round, the next once those before are done; all end before the first run that needs them.

        Args:
            trials: the first round, as `trials` gives it.
            runs: for which they choose.
            again: as in `run`; each trial is done again once at most.
        """
        tried: set[str] = set()
        while trials:
            yield trials
            tried.update(trial.key for trial in trials)
            trials = [trial for trial in self.trials(runs, again) if trial.key not in tried]
            if trials:
                self.watcher.more(len(trials))

    def _measure(self, runs: Sequence[RunSpec], files: JobFiles, deadline: Deadline | None) -> None:
        """Measures of runs that are done: of trained models first, which may read stored encodings."""
        first = lacking_measures(self.store, [one for one in self.suite.measures if needs(one) == "trained"], runs)
        self.by_seed(first, self._measuring, files, deadline)
        keys = {run.key for run in first}
        self.pool.run([self._measuring(run) for run in runs if run.key not in keys], files, deadline)

    def _measuring(self, run: RunSpec) -> MeasureJob:
        return MeasureJob(self.place, run, self.suite.measures)

    def trials(self, runs: Iterable[RunSpec], again: frozenset[str] = frozenset()) -> list[RunSpec]:
        """The trials known by now that are not done, each once; claims on what killed runners had finished are gone."""
        found = all_trials(runs, self.store)
        self.clear(found)
        return [trial for trial in found if self.store.is_wanted(trial, again)]

    def training(self, run: RunSpec) -> TrainJob:
        """A trial is measured by its validation score alone."""
        measures = self.suite.measures if run.role == "final" else ()
        keep = self.suite.keep == "weights" and run.role == "final"
        return TrainJob(self.place, run, measures, self.devices, keep, self.suite.time_limit)

    def prepare_all(self, runs: Sequence[RunSpec]) -> None:
        """What `prepare` does, then encoders that are trained beforehand, and encodings, of all seeds."""
        self.prepare(runs, all_seeds=True)
        self.encodings.make(runs)

    def prepare(
        self, runs: Iterable[RunSpec], *, all_seeds: bool = False, measures: Sequence[Choice] | None = None
    ) -> None:
        """Every dataset converted, every model built once.

        Args:
            runs: for which.
            all_seeds: whether encodings of all seeds will be stored at a time.
            measures: that will be taken; None: the suite's.

        Raises:
            UserError: something is missing or wrong, before any run of the suite trains.
        """
        runs = list(runs)
        # One at a time: each shows its own progress.
        for job, message in Pool(1, self.watcher, self.gpus).run(
            self.preparing(runs, all_seeds=all_seeds, measures=measures), JobFiles(self.store)
        ):
            assert isinstance(job, PrepareJob)
            self.same_data(job, message)
            self.fingerprints[slug("dataset", job.runs[0].dataset)] = str(message.facts["fingerprint"])

    def same_data(self, job: PrepareJob, message: Message) -> None:
        """UserError if the data that a job prepared are not those of the records that are there."""
        refuse_other_data(self.suite, self.store, job, message)

    def preparing(
        self, runs: Iterable[RunSpec], *, all_seeds: bool = False, measures: Sequence[Choice] | None = None
    ) -> list[PrepareJob]:
        """What `prepare` does first, a job per dataset."""
        runs = list(runs)
        seeds = len({run.seed for run in runs}) if all_seeds or self.keep_encodings else 1
        datasets = grouped(runs, lambda run: slug("dataset", run.dataset))
        models = (grouped(found, lambda run: (row_name(run), track_label(run.track))) for found in datasets)
        taken = self.suite.measures if measures is None else tuple(measures)
        firsts = (tuple(first for first, *_ in found) for found in models)
        return [PrepareJob(self.place, some, self.devices, seeds, taken) for some in firsts]

    def latency(
        self, runs: Iterable[RunSpec], options: dict[str, object], *, anew: bool, deadline: Deadline | None = None
    ) -> list[Path]:
        """A latency session per table; unless `anew`, only where no session covers these strategies already.

        Args:
            runs: of which strategies.
            options: of the measure.
            anew: whether those that there are count for nothing.
            deadline: no session begins that would not be over by then.
        """
        jobs = self.untimed(runs, options, anew=anew)
        # One worker alone, and one runner at a time (the session is claimed): two at once would time each other.
        files = JobFiles(self.store, timed=lambda job: not anew and self._is_timed(rows_of(job.runs), options))
        done = self.make_pool(1, self.watcher, self.gpus).run(jobs, files, deadline)
        return [Path(message.facts["path"]) for _, message in done]

    def untimed(self, runs: Iterable[RunSpec], options: dict[str, object], *, anew: bool = False) -> list[LatencyJob]:
        """The latency sessions that are missing, one per table; with `anew` all."""
        timed = [run for run in runs if self._runs_at_all(run)]
        models = [rows_of(found) for found in grouped(timed, table_name)]
        missing = [rows for rows in models if anew or not self._is_timed(rows, options)]
        return [LatencyJob(self.place, tuple(rows.values()), options) for rows in missing]

    def clear(self, runs: Iterable[RunSpec]) -> None:
        """Remove what killed runners left: half-written files, claims and checkpoints of what they had finished."""
        clear_leftovers(self.store, runs)

    # --- what is there -------------------------------------------------------------------------------------------

    def _runs_at_all(self, run: RunSpec) -> bool:
        """Whether nothing is known against the run: one that failed would take the whole session with it.

        Where trials choose options of the strategy, it has to be done: before, nobody knows which model to time.
        """
        return not run.space if (status := self.store.status(run)) in MISSING else status == "done"

    def _is_timed(self, rows: dict[str, RunSpec], options: dict[str, object]) -> bool:
        sample = next(iter(rows.values()))
        for session in self.store.read_latency(sample.dataset, sample.track):
            same_host = self.times_anywhere or session["environment"]["host"] == self.place.environment["host"]
            covered = {row["strategy"] for row in session["rows"]}
            if same_host and session["options"] == options and rows.keys() <= covered:
                return True
        return False
