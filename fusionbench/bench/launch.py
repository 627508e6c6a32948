"""A plan done: jobs handed to isolated worker processes, so many at a time; what they say handed to a watcher.

Workers come from a forkserver that has imported torch and lightning once: a process of its own costs each run a
twentieth of a second, not the seconds of a fresh interpreter. This process imports neither.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from fusionbench.bench.jobs import Job, Message
from fusionbench.core.errors import UserError
from fusionbench.core.files import is_running
from fusionbench.records.claims import Claims

PRELOAD = ["fusionbench.bench.worker"]
"""Imported once, by the server that workers are forked from; it starts no threads and does not touch CUDA."""
POLL_S = 0.5
CLAIMED_S = 1.0
"""How often to look whether a run that another runner has claimed is done."""
GRACE_S = 5.0


class Watcher(Protocol):
    """Shows what happens; see cli/progress.py."""

    def started(self, job: Job) -> None:
        """A worker took the job."""

    def progress(self, job: Job, message: Message) -> None:
        """So much of it is done."""

    def ended(self, job: Job, message: Message) -> None:
        """It is finished, in whichever way."""

    def waiting(self, count: int) -> None:
        """So many runs are being done by another runner; waiting for them."""


class Desk(Protocol):
    """Knows where a job's files lie and what becomes of it; see bench/run.py."""

    def lock(self, job: Job) -> Path | None:
        """Its lock file; None: it needs no claim."""

    def log(self, job: Job) -> Path | None:
        """Where its output goes; None: where ours goes."""

    def is_done(self, job: Job) -> bool:
        """Whether somebody has done it by now."""

    def crashed(self, job: Job, reason: str) -> Message:
        """Its process died without a word: leave a record of that."""


@dataclass
class _Worker:
    job: Job
    process: ForkServerProcess
    connection: Connection
    lock: Path | None
    log: Path | None
    last: Message | None = None


class Pool:
    """Runs jobs in worker processes, at most `workers` at a time."""

    def __init__(self, workers: int, watcher: Watcher) -> None:
        self.workers, self.watcher = workers, watcher
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._claims = Claims()
        self._running: list[_Worker] = []
        self._told = 0

    def run(self, jobs: Iterable[Job], desk: Desk) -> list[tuple[Job, Message]]:
        """Do all jobs, in this order; one that another runner has claimed is waited for.

        Returns:
            Each job with the last message of its worker; jobs done by others are left out.

        Raises:
            UserError: a worker met one; the other workers are ended first.
            KeyboardInterrupt: Ctrl-C or SIGTERM; likewise.
        """
        pending, claimed = deque(jobs), deque[Job]()
        ended: list[tuple[Job, Message]] = []
        try:
            with _terminable():
                while pending or claimed or self._running:
                    self._fill(pending, claimed, desk)
                    self._wait_for_others(pending, claimed, desk)
                    ended += list(self._listen(desk))
                    self._claims.beat()
        finally:
            self._stop()
        return ended

    def _fill(self, pending: deque[Job], claimed: deque[Job], desk: Desk) -> None:
        """Start jobs while a worker is free; those that another runner has go to `claimed`."""
        while pending and len(self._running) < self.workers:
            job = pending.popleft()
            if not self._start(job, desk):
                claimed.append(job)

    def _wait_for_others(self, pending: deque[Job], claimed: deque[Job], desk: Desk) -> None:
        """With nothing else to do: a moment later, try again what is not done by then."""
        if not claimed or self._running:
            return
        if self._told != len(claimed):
            self._told = len(claimed)
            self.watcher.waiting(self._told)
        time.sleep(CLAIMED_S)
        pending.extend(job for job in claimed if not desk.is_done(job))
        claimed.clear()

    def _start(self, job: Job, desk: Desk) -> bool:
        """False if another runner has the job."""
        lock = desk.lock(job)
        if lock is not None:
            if not self._claims.take(lock):
                return False
            if desk.is_done(job):  # Finished by another runner between planning and claiming.
                self._claims.release(lock)
                return True
        here, there = self._context.Pipe()
        log = desk.log(job)
        process = self._context.Process(target=_work, args=(job, there, log), daemon=True)
        process.start()
        there.close()
        self._running.append(_Worker(job, process, here, lock, log))
        self.watcher.started(job)
        return True

    def _listen(self, desk: Desk) -> Iterator[tuple[Job, Message]]:
        """Take what workers say; yield those that have ended."""
        if not self._running:
            return
        ready = wait([worker.connection for worker in self._running], timeout=POLL_S)
        for worker in [worker for worker in self._running if worker.connection in ready]:
            try:
                message: Message = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                yield worker.job, self._end(worker, desk)
                continue
            if message.kind == "progress":
                self.watcher.progress(worker.job, message)
            else:
                worker.last = message

    def _end(self, worker: _Worker, desk: Desk) -> Message:
        worker.process.join()
        worker.connection.close()
        message = worker.last or desk.crashed(worker.job, _death(worker.process.exitcode))
        self._running.remove(worker)
        if message.kind == "user_error":
            raise UserError(message.text)
        if worker.lock is not None:
            self._claims.release(worker.lock)
        self.watcher.ended(worker.job, message)
        return message

    def _stop(self) -> None:
        """End the workers that still run, remove their logs, and give all claims back."""
        for worker in self._running:
            worker.process.terminate()
        end = time.monotonic() + GRACE_S
        for worker in self._running:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            # A signal to the whole group ends the server too, and joining then returns before the worker is gone.
            while worker.process.pid and is_running(worker.process.pid) and time.monotonic() < end:
                time.sleep(0.01)
            if worker.log is not None:
                worker.log.unlink(missing_ok=True)
        self._running.clear()
        self._claims.release_all()


def _work(job: Job, connection: Connection, log: Path | None) -> None:
    """The worker's first function; the import is free there, the server has done it."""
    from fusionbench.bench.worker import main

    main(job, connection, log)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"its process ended with exit code {code}"


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
