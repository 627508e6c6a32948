"""What a job of the array does: takes runs of the suite, by claims on the results folder, until none is left for it.

Only here are SLURM's variables read. A signal (the limit is near, preemption, scancel) gives the claims back at once;
a job whose limit ended it, and that got on, puts itself into the queue again.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from fusionbench.bench.jobs import Job, Message, Place
from fusionbench.core.errors import UserError
from fusionbench.core.surroundings import alone
from fusionbench.engines.gpus import visible_gpus, workers_by_default
from fusionbench.engines.job_limit import JobDeadline, LimitedPool, RowTimes, on_signals
from fusionbench.engines.local import Watcher
from fusionbench.engines.runner import Runner
from fusionbench.engines.seen import KnownStore
from fusionbench.engines.slurm_commands import WARNING_S, requeue, time_left
from fusionbench.engines.staging import staged
from fusionbench.engines.titles import title
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.checkpoints import all_kept, are_further
from fusionbench.records.environment import environment

DRAINED, LIMIT, ENDED, MISTAKE = "drained", "limit", "ended", "mistake"
"""How a job ends: nothing is left for it; what is left needs more time; by a signal; by a mistake of the user's."""


@dataclass(frozen=True)
class Left:
    """How a job ended."""

    how: str
    text: str = ""


@dataclass(frozen=True)
class SuiteJob:
    """What submitit keeps for the job and calls there."""

    suite: Suite
    runs: tuple[RunSpec, ...]
    place: Place
    old: Mapping[str, str]
    """As for KnownStore."""
    workers: int | None
    devices: int
    cpus: int
    keep_encodings: bool
    stage: Path | None
    fingerprints: tuple[str, ...]
    """Of the data, to copy them."""
    folder: str
    """The working folder of who sent it, and below, where Python looks there."""
    search_path: tuple[str, ...]
    timing: dict[str, object] | None = None
    """None: train. Else a latency session with these options."""
    anew: bool = False

    def __call__(self) -> Left:
        """The job."""
        signals: list[int] = []
        on_signals(lambda number: _interrupt(signals, number))
        job = job_number(os.environ)
        allowed = time_left(job)
        began = time.monotonic()
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # What runs need was downloaded when the data were prepared.
        os.chdir(self.folder)
        sys.path += [folder for folder in self.search_path if folder not in sys.path]
        worker = Worker(self, began, allowed)
        try:
            with alone():
                left = worker.work()
        except KeyboardInterrupt:
            left = Left(LIMIT if signals and signals[0] != signal.SIGTERM else ENDED)
        except (UserError, OSError) as error:
            where = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            left = Left(MISTAKE, f"{where} (on node {platform.node()})")
        _log(f"{left.how} {left.text}".strip())
        if left.how == LIMIT and worker.gets_on():
            _log("back into the queue")
            with suppress(UserError):  # Where somebody has done so already.
                requeue(job)
                time.sleep(WARNING_S)  # SLURM ends the job.
        return left


class Worker:
    """One life of a job."""

    def __init__(self, job: SuiteJob, began: float, allowed: float | None) -> None:
        self.job = job
        self.full = float("inf") if allowed is None else allowed - WARNING_S
        self.pools: list[LimitedPool] = []
        self.store = KnownStore(job.place.results, job.place.suite)
        self.store.old = dict(job.old)
        self.kept = all_kept(self.store.root)
        self.wanted = len(self._wanted())
        self.times = RowTimes(self.store, job.runs)
        self.deadline = JobDeadline(self.full - (time.monotonic() - began), cost=self.times.of)

    def work(self) -> Left:
        """Train, or time."""
        job, runner = self.job, self._runner()
        if job.timing is not None:
            runner.latency(job.runs, job.timing, anew=job.anew)
            return Left(DRAINED)
        runner.run(job.runs, deadline=self.deadline)
        late = [run for run in self._wanted() if not self.deadline.has_room_for(runner.training(run))]
        return Left(LIMIT, f"{len(late)} runs would not have ended in time") if late else Left(DRAINED)

    def gets_on(self) -> bool:
        """Whether another life of it would end more runs: this one did, and not all that is left is too long.

        Records are asked too, since a signal may come before their worker has told of them. A run of hours may take
        several lives: that its checkpoint is further than before is getting on too.
        """
        wanted = self._wanted()
        if not any((self.times.of_run(run) or 0.0) <= self.full for run in wanted):
            return False
        recorded = len(wanted) < self.wanted or any(pool.finished for pool in self.pools)  # The latter: trials.
        return recorded or are_further(all_kept(self.store.root), self.kept)

    def _wanted(self) -> list[RunSpec]:
        return [run for run in self.job.runs if self.store.is_wanted(run)]

    def _runner(self) -> Runner:
        job, gpus = self.job, visible_gpus()
        place = replace(job.place, environment=environment())
        if job.stage is not None:
            assert place.data is not None
            place = replace(place, data=staged(place.data, job.stage, job.fingerprints))
        workers = job.workers or workers_by_default(job.devices, gpus, job.cpus)
        return Runner(
            job.suite,
            place,
            workers,
            _LogWatcher(),
            job.devices,
            gpus,
            job.keep_encodings,
            self.store,
            self._pool,
            times_anywhere=True,
        )

    def _pool(self, workers: int, watcher: Watcher, gpus: tuple[str, ...]) -> LimitedPool:
        self.pools.append(LimitedPool(workers, watcher, gpus))
        return self.pools[-1]


class _LogWatcher:
    """A line per event, into the job's log."""

    def started(self, job: Job) -> None:
        """Also of training: a job that is killed leaves a log that says at what."""
        _log(f"{title(job)} begins")

    def progress(self, job: Job, message: Message) -> None:
        """The claim says it."""

    def ended(self, job: Job, message: Message) -> None:
        """And how."""
        reason = message.facts.get("reason", "")
        _log(f"{title(job)}: {message.text}{': ' if reason else ''}{reason}")

    def waiting(self, count: int, holder: str) -> None:
        """Other jobs are at work."""
        _log(f"waits for {count} runs of others ({holder})")

    def more(self, count: int) -> None:
        """Trials."""

    def told(self, line: str) -> None:
        """Whatever else there is."""
        _log(line)


def job_number(environment: Mapping[str, str]) -> str:
    """What SLURM calls this job alone; one of an array has the number of the whole array as its own.

    >>> job_number({"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"})
    '7_3'
    """
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def _interrupt(signals: list[int], number: int) -> None:
    """The first signal ends the work; those that follow find it ending."""
    if not signals:
        signals.append(number)
        raise KeyboardInterrupt
    signals.append(number)


def _log(line: str) -> None:
    sys.stdout.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
    sys.stdout.flush()
