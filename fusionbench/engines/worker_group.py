"""The processes that do one job: one, or N that train one model together; what became of them is one message."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from fusionbench.bench.jobs import Job, Message, WorkerContext, devices_of
from fusionbench.core.files import is_running
from fusionbench.core.ranks import Ranks
from fusionbench.engines.heartbeat import STACK
from fusionbench.engines.logs import remove_if_empty, size_of, told_last
from fusionbench.engines.pace import Pace
from fusionbench.engines.processes import WorkerProcess
from fusionbench.engines.watch import Watch

GRACE_S = 5.0
STACK_S = 0.3
"""So long a worker has to write where it is."""
HOST = "127.0.0.1"


@dataclass
class _Worker:
    process: WorkerProcess
    connection: Connection
    log: Path | None
    stack_at: int | None = None
    """From which byte on its log says where it was, if it was asked."""
    last: Message | None = None
    has_ended: bool = False


class WorkerGroup:
    """The workers of one job; the first speaks for all of them as long as none fails."""

    def __init__(self, job: Job, log: Path | None, gpus: tuple[str, ...]) -> None:
        self.job, self.pace = job, Pace()
        self.failure: Message | str | None = None
        """What went wrong first: what a worker said of it, or how it died without a word."""
        self.is_cut_short = False
        """Whether it has to end although its workers run: it hangs, or takes too long."""
        self._failed = 0
        """Which worker failed first."""
        self._workers: list[_Worker] = []
        try:
            self._start(log, gpus)
        except BaseException:  # Ctrl-C while the server is starting: those that run already end.
            self.stop()
            raise
        self.watch = Watch(job)  # Not before: the server may take seconds to start.

    def _start(self, log: Path | None, gpus: tuple[str, ...]) -> None:
        size = devices_of(self.job)
        with socket.create_server((HOST, 0), backlog=size) if size > 1 else nullcontext() as listener:
            for rank in range(size):
                own = log if rank == 0 or log is None else log.with_name(f"{log.stem}.device{rank}{log.suffix}")
                port = listener.getsockname()[1] if listener else 0
                ranks = Ranks(rank, size, rank, size)
                worker_context = WorkerContext(own, gpus, ranks, port, listener if rank == 0 else None)
                self._workers.append(_started(self.job, worker_context))

    @property
    def connections(self) -> list[Connection]:
        """Those over which something may still come."""
        return [worker.connection for worker in self._workers if not worker.has_ended]

    def hear(self, ready: set[int]) -> Iterator[Message]:
        """Take what workers say over connections with these ids; gives progress and notices."""
        for rank, worker in enumerate(self._workers):
            if id(worker.connection) not in ready or worker.has_ended:
                continue
            try:
                message: Message = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                worker.has_ended = True
                _join(worker.process, time.monotonic() + GRACE_S)
                if worker.last is None:
                    self._fail(rank, self._named(rank, _death(worker.process.exitcode)))
                continue
            self.watch.heard()
            if message.kind == "beat":
                continue
            if message.kind in ("progress", "notice"):
                yield self._with_tries(message)
                continue
            worker.last = message
            if message.kind == "user_error" or message.text == "failed":
                self._fail(rank, message)

    def look(self) -> None:
        """Notice whether it hangs, or takes too long; then it is over."""
        why = self.watch.look()
        if why and not self.is_over:
            self.is_cut_short = True
            if self._workers[0].last is None:  # Else it has only not ended, and all is said.
                self._fail(0, why)
            self._ask_where()

    @property
    def is_over(self) -> bool:
        """Whether all have ended, or one has failed, without which the others cannot go on, or it was cut short."""
        has_failed = len(self._workers) > 1 and bool(self.failure)
        return all(worker.has_ended for worker in self._workers) or has_failed or self.is_cut_short

    @property
    def may_try_again(self) -> bool:
        """Whether it was cut short, and another try is worth it."""
        return self.is_cut_short and isinstance(self.failure, str) and self.watch.may_try_again

    def follow(self, other: WorkerGroup) -> None:
        """This one is the next try of a job that hung."""
        self.watch = other.watch
        self.watch.again()

    def told_last(self) -> list[str]:
        """The end of the log of the worker that failed first, and where it was, if it was asked."""
        worker = self._workers[self._failed]
        return told_last(worker.log, worker.stack_at)

    def _with_tries(self, message: Message) -> Message:
        """The first word of a worker, which names its process, also says which try it is, if not the first."""
        if "pid" not in message.facts or self.watch.tries == 1:
            return message
        return replace(message, facts={**message.facts, "tries": self.watch.tries})

    def _fail(self, rank: int, why: Message | str) -> None:
        if self.failure is None:
            self.failure, self._failed = why, rank

    def _ask_where(self) -> None:
        """Of a process that hangs, where it does is the best reason."""
        running = [worker for worker in self._workers if not worker.has_ended and worker.process.pid]
        for worker in running:
            worker.stack_at = size_of(worker.log)
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid or 0, STACK)
        if running:
            time.sleep(STACK_S)

    def close(self) -> Message | str:
        """End what still runs; what the first worker said, or else what went wrong, in words if nobody said it."""
        self.stop(remove_logs=False)
        first = self._workers[0].last
        if first is not None and (first.text == "done" or self.failure is None):
            return first  # Whatever befell the others after that.
        return self.failure or "it ended without a word"

    def has_first_said(self, message: Message | str) -> bool:
        """Whether it is the first worker's own message: that one has left a record."""
        return message is self._workers[0].last

    def end(self) -> None:
        """Signal the workers that still run, and do not wait."""
        for worker in self._workers:
            # A process that hangs, or waits for the others of its group, hears no signal but one; the first goes first,
            # so that it does not take the loss of another for a failure.
            is_deaf = len(self._workers) > 1 or self.is_cut_short
            end = worker.process.kill if is_deaf else worker.process.terminate
            if not worker.has_ended:
                end()

    def stop(self, *, remove_logs: bool = True) -> None:
        """End the workers that still run; their logs go too, or at least the empty ones."""
        self.end()
        deadline = time.monotonic() + GRACE_S
        for worker in self._workers:
            _join(worker.process, deadline)
            worker.connection.close()
            worker.has_ended = True
            if worker.log is None:
                continue
            if remove_logs:
                worker.log.unlink(missing_ok=True)
            else:
                remove_if_empty(worker.log)

    def _named(self, rank: int, reason: str) -> str:
        return reason if len(self._workers) == 1 else f"device {rank} of {len(self._workers)}: {reason}"


def _started(job: Job, worker_context: WorkerContext) -> _Worker:
    here, there = Pipe()
    process = WorkerProcess(target=_work, args=(job, there, worker_context), daemon=True)
    try:
        process.start()
    except BaseException:
        here.close()  # A worker that comes to be after all sees that nobody waits for it.
        raise
    finally:
        there.close()
    return _Worker(process, here, worker_context.log)


def _join(process: WorkerProcess, deadline: float) -> None:
    process.join(max(0.0, deadline - time.monotonic()))
    if process.is_alive():
        process.kill()
        process.join(GRACE_S)  # One that waits for a broken disk or GPU hears not even that; it is left behind.
    # A signal to the whole group ends the server too, and joining then returns before the worker is gone.
    while process.pid and is_running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _work(job: Job, connection: Connection, worker_context: WorkerContext) -> None:
    """The worker's first function; the import is free there, the server has done it."""
    from fusionbench.engines.worker import main

    main(job, connection, worker_context)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"its process ended with exit code {code}"
