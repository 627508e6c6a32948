"""Whether a job goes on: how long it has worked, and for how long nothing was heard of it.

Time counts only while somebody looks. Where the launcher itself was stopped (Ctrl-Z, a laptop that slept, a job that
SLURM suspended), its workers were too, and nobody is to blame.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fusionbench.bench.jobs import Job, PrepareJob, TrainJob

STEP_S = 10.0
"""Between two looks so much passes at most."""
TRIES = 3
"""So often a job is begun whose worker fell silent."""


class Watch:
    """Over one job, through all of its tries."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        # Preparing may wait for a slow server, and whoever began it sees how far it is.
        self.silent_after = float("inf") if isinstance(job, PrepareJob) else job.place.silent_after
        self.limit = job.time_limit if isinstance(job, TrainJob) and job.time_limit else float("inf")
        self.clock = clock
        self.tries = 1
        self.worked = self.silent = 0.0
        self._looked = clock()

    def heard(self) -> None:
        """Something came from a worker."""
        self.silent = 0.0

    def look(self) -> str:
        """Why it has to end now; empty while it may go on."""
        now = self.clock()
        passed, self._looked = min(now - self._looked, STEP_S), now
        self.worked += passed
        self.silent += passed
        if self.worked > self.limit:
            return self.too_late
        if self.silent > self.silent_after:
            many = f", in each of {self.tries} tries" if self.tries > 1 else ""
            return f"hangs: it neither computed nor said anything for {self.silent_after:g} s{many}"
        return ""

    @property
    def too_late(self) -> str:
        """Why one ends that takes too long."""
        many = f", in {self.tries} tries" if self.tries > 1 else ""
        return f"not done within its time limit of {self.limit:g} s (budget.time_limit){many}"

    @property
    def may_try_again(self) -> bool:
        """Whether another try is worth it: it hung, has done so not too often, and has time left."""
        return self.silent > self.silent_after and self.worked <= self.limit and self.tries < TRIES

    def again(self) -> None:
        """Another try begins."""
        self.tries += 1
        self.silent, self._looked = 0.0, self.clock()
