"""A plan done: jobs handed to isolated worker processes, so many at a time; what they say handed to a watcher.

Workers come from a forkserver that has imported torch and lightning once: a process of its own costs each run a
fraction of a second (benchmarks/run_overhead.py), not the seconds of a fresh interpreter. This process imports neither.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, Protocol

from fusionbench.bench.jobs import Job, Message, devices_of
from fusionbench.core.errors import UserError
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.gpus import gpus_of
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.titles import title
from fusionbench.engines.worker_group import WorkerGroup
from fusionbench.records.claims import Claims, told

POLL_S = 0.5
CLAIMED_S = 1.0
"""How often to look whether a run that another runner has claimed is done."""


class Watcher(Protocol):
    """Shows what happens; see api/progress.py."""

    def started(self, job: Job) -> None:
        """A worker took the job."""

    def progress(self, job: Job, message: Message) -> None:
        """So much of it is done."""

    def ended(self, job: Job, message: Message) -> None:
        """It is finished, in whichever way."""

    def waiting(self, count: int, holder: str) -> None:
        """So many runs are being done by another runner; waiting for them. Who holds the first, and what to do."""

    def more(self, count: int) -> None:
        """So many runs more than was known at first: trials of the next round."""

    def told(self, line: str) -> None:
        """A notice that is worth a look: also where nothing else is shown."""


class Pool:
    """Runs jobs in worker processes, at most `workers` of them at a time, each on GPUs of its own while they last."""

    def __init__(self, workers: int, watcher: Watcher, gpus: tuple[str, ...] = ()) -> None:
        self.workers, self.watcher, self.gpus = workers, watcher, gpus
        self._claims = Claims()
        self._running: dict[int, WorkerGroup] = {}
        """By slot, from 0 to the number of workers."""
        self._began: dict[int, float] = {}
        """Likewise, by the clock of a time limit."""
        self._told = 0

    def run(self, jobs: Iterable[Job], files: JobFiles, deadline: Deadline | None = None) -> list[tuple[Job, Message]]:
        """Do all jobs, in this order; one that another runner has claimed is waited for.

        Args:
            jobs: what to do.
            files: where they leave what they find.
            deadline: no job begins that would not be done by then; those that run are finished.

        Returns:
            Each job with the last message of its worker; jobs done by others are left out.

        Raises:
            UserError: a worker met one; the other workers are ended first.
            KeyboardInterrupt: Ctrl-C or SIGTERM; likewise.
        """
        pending, claimed = deque(jobs), deque[Job]()
        ended: list[tuple[Job, Message]] = []
        try:
            with terminable():
                while pending or claimed or self._running:
                    self._fill(pending, claimed, files, deadline)
                    self._wait_for_others(pending, claimed, files)
                    ended += list(self._listen(files, deadline))
                    self._claims.beat()
        finally:
            self._stop()
        return ended

    def _fill(self, pending: deque[Job], claimed: deque[Job], files: JobFiles, deadline: Deadline | None) -> None:
        """Start jobs while a worker is free and there is time; those that another runner has go to `claimed`."""
        if deadline is not None and deadline.is_over:
            claimed.clear()  # Nobody waits any longer; what is pending is refused below.
        while pending and len(self._running) < self.workers:
            job = pending.popleft()
            if deadline is not None and not deadline.admits(job):
                continue
            if not self._start(job, files, deadline):
                claimed.append(job)

    def _wait_for_others(self, pending: deque[Job], claimed: deque[Job], files: JobFiles) -> None:
        """With nothing else to do: a moment later, try again what is not done by then."""
        if not claimed or self._running:
            return
        if self._told != len(claimed):
            self._told = len(claimed)
            lock = files.lock(claimed[0])
            self.watcher.waiting(self._told, told(lock) if lock else "")
        time.sleep(CLAIMED_S)
        pending.extend(job for job in claimed if not files.is_done(job))
        claimed.clear()

    def _start(self, job: Job, files: JobFiles, deadline: Deadline | None) -> bool:
        """False if another runner has the job."""
        lock = files.lock(job)
        if lock is not None:
            if not self._claims.take(lock):
                return False
            if files.is_done(job):  # Finished by another runner between planning and claiming.
                self._claims.release(lock)
                return True
        slot = next(number for number in range(self.workers) if number not in self._running)
        self._running[slot] = self._group(job, files, slot)
        self._began[slot] = deadline.clock() if deadline else 0.0
        self.watcher.started(job)
        return True

    def _group(self, job: Job, files: JobFiles, slot: int) -> WorkerGroup:
        """The processes that do a job, started; another engine has others."""
        return WorkerGroup(job, files.log(job), gpus_of(slot, devices_of(job), self.gpus))

    def _ready(self) -> set[int]:
        """Over which connections something has come, by their ids; waits a moment for that."""
        connections = [connection for group in self._running.values() for connection in group.connections]
        return set(map(id, wait(connections, timeout=POLL_S)))

    def _listen(self, files: JobFiles, deadline: Deadline | None) -> Iterator[tuple[Job, Message]]:
        """Take what workers say; yield those that have ended."""
        if not self._running:
            return
        ready = self._ready()
        for slot, group in list(self._running.items()):
            for message in group.hear(ready):
                if message.kind == "notice":
                    self.watcher.told(message.text)
                    continue
                self.watcher.progress(group.job, message)
                lock = files.lock(group.job)
                if lock is not None:
                    self._claims.note(lock, {**group.pace.facts(message), "workers": self.workers})
            group.look()
            if group.may_try_again and not files.is_done(group.job):
                self._try_again(slot, files)
            elif group.is_over:
                yield group.job, self._end(slot, files)
                if deadline is not None:
                    deadline.learn(group.job, deadline.clock() - self._began[slot])

    def _try_again(self, slot: int, files: JobFiles) -> None:
        """End a job that hangs, and begin it anew: in the same slot, under the same claim."""
        group = self._running[slot]
        self.watcher.told(f"{title(group.job)}: {group.failure}; it is ended and tried again")
        group.stop(remove_logs=False)
        self._running[slot] = self._group(group.job, files, slot)
        self._running[slot].follow(group)

    def _end(self, slot: int, files: JobFiles) -> Message:
        group = self._running[slot]
        said = group.close()
        if isinstance(said, Message) and said.kind == "user_error":
            raise UserError(said.text)
        if not group.has_first_said(said):
            reason = said if isinstance(said, str) else said.facts["reason"]
            said = files.crashed(group.job, reason, group.told_last())
        assert isinstance(said, Message)
        del self._running[slot]
        lock = files.lock(group.job)
        if lock is not None:
            self._claims.release(lock)
        self.watcher.ended(group.job, said)
        return said

    def _stop(self) -> None:
        """End the workers that still run, remove their logs, and give all claims back."""
        try:
            for group in self._running.values():
                group.end()
            for group in self._running.values():
                group.stop()
            self._running.clear()
        finally:
            self._claims.release_all()  # Also at a second Ctrl-C, which waits for no worker.


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does; in a thread of a program it is left to that program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
