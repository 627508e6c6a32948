"""A pool within a job that has a limit: begins no run that could not end by then, and does not wait for nothing."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fusionbench.bench.jobs import Job, Message, TrainJob
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Pool
from fusionbench.plan.suite import RunSpec
from fusionbench.records.checkpoints import CHECKPOINT, kept_seconds
from fusionbench.records.store import Store

MARGIN = 1.25
"""A run may take so much longer than the longest of its row."""
OURS_S = 5.0
"""So long after a worker has heard a signal, its launcher has heard it too."""
SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
"""What a job is told by that its limit is near, that it is preempted, or that it is cancelled."""


class RowTimes:
    """How long runs take, as the records of their rows tell, those of other jobs too."""

    def __init__(self, store: Store, runs: Iterable[RunSpec]) -> None:
        self.store = store
        self._rows: dict[str, list[RunSpec]] = {}
        for run in runs:
            self._rows.setdefault(_row(run), []).append(run)

    def of(self, job: Job) -> float | None:
        """Seconds that a job may take; None: no run of its row is done."""
        return self.of_run(job.run) if isinstance(job, TrainJob) else None

    def of_run(self, run: RunSpec) -> float | None:
        """Likewise, of a run; one that was stopped and left a checkpoint needs the rest only."""
        glances = (self.store.glance(other) for other in self._rows.get(_row(run), []))
        took = [found.seconds for found in glances if found.status == "done"]
        return max(0.0, MARGIN * max(took) - kept_seconds(self.store.path(run, CHECKPOINT))) if took else None


@dataclass
class JobDeadline(Deadline):
    """The end of a job. What its own runs took is in their records, so nothing is made of it besides."""

    def expected(self, job: Job) -> float | None:
        """As the records say; the first run of a row may begin."""
        return self.cost(job)


class LimitedPool(Pool):
    """As any, but for waiting: a job that waits holds its cores and GPUs for nothing."""

    finished = 0
    """How many runs were trained here."""

    def _wait_for_others(self, pending: deque[Job], claimed: deque[Job], files: JobFiles) -> None:
        """Trials of others are waited for, since what they choose is needed; final runs of others are theirs."""
        theirs = [job for job in claimed if isinstance(job, TrainJob) and job.run.role == "final"]
        if theirs and len(theirs) == len(claimed) and not self._running:
            claimed.clear()
        super()._wait_for_others(pending, claimed, files)

    def _end(self, slot: int, files: JobFiles) -> Message:
        group = self._running[slot]
        if isinstance(group.failure, str) and any(number.name in group.failure for number in SIGNALS):
            time.sleep(OURS_S)  # All processes of the job get it; our own handler stops everything here.
        said = super()._end(slot, files)
        self.finished += isinstance(group.job, TrainJob)
        return said


def on_signals(act: Callable[[int], None]) -> None:
    """Call it with the number of each signal that a job gets."""
    for number in SIGNALS:
        signal.signal(number, lambda got, _: act(got))
    signal.signal(signal.SIGCONT, signal.SIG_DFL)  # SLURM wakes a job before it ends it.


def _row(run: RunSpec) -> str:
    """What all seeds of a row share."""
    return repr((run.dataset.decisive(), run.strategy.decisive(), run.track.to_json(), run.role))
