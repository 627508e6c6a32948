"""The server that workers are forked from, started so that nothing around it gets in, and that it is in nobody's way.

Its environment is without other programs' variables, files of the working folder hide none of Python's own modules,
Ctrl-C is left to the launcher, and its socket lies where a path is short. It is a server of our own: what the program
around us does with multiprocessing (its start method, its own forkserver) is as if we were not there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.forkserver import ForkServer
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.surroundings import alone

PRELOAD = ["fusionbench.engines.preload"]
"""Imported once, by the server; it starts no threads and does not touch CUDA."""
LONGEST = 70
"""Bytes of a folder's path: a socket's path ends at 103 on some systems, and Python appends 31."""
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  (a folder of a random name is made there, for us alone)
SAFE_PATH, OURS = "PYTHONSAFEPATH", "fusionbench"


class _Server(ForkServer):
    """Python's own, asked whether it runs."""

    def is_up(self) -> bool:
        """Whether it is known to run, without waiting for it; not known where a system lacks waitid."""
        pid = getattr(self, "_forkserver_pid", None)
        if pid is None or not hasattr(os, "waitid"):
            return False
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def ensure_server() -> ForkServer:
    """The server, started unless it runs.

    Raises:
        UserError: there is no folder for its socket.
    """
    server = _server_of(os.getpid())
    with _ONE_AT_A_TIME:
        if not server.is_up():
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is loaded: for who trains by hand.
            with alone(), _safe_path(), _short_folder(), _left_to_the_launcher(), _start_method_left_open():
                server.ensure_running()
    return server


_ONE_AT_A_TIME = threading.Lock()


@cache
def _server_of(_: int) -> _Server:
    """The one of a process, by its id: a process that was forked has none of its parent's."""
    server = _Server()
    server.set_forkserver_preload(PRELOAD)
    return server


def forget_server_settings() -> None:
    """In a worker: what was meant for the server alone is not for programs that a plug-in starts."""
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]


@contextmanager
def _safe_path() -> Iterator[None]:
    """Python started by a command in words looks into the working folder first: a `queue.py` there would be found."""
    if os.environ.get(SAFE_PATH):
        yield
        return
    os.environ[SAFE_PATH] = OURS
    try:
        yield
    finally:
        os.environ.pop(SAFE_PATH, None)


@contextmanager
def _short_folder() -> Iterator[None]:
    try:
        given = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError("no folder for temporary files can be written; set TMPDIR to one that can") from error
    if len(os.fsencode(given)) <= LONGEST:
        yield
        return
    before, tempfile.tempdir = tempfile.tempdir, _short(given)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _short(given: str) -> str:
    found = next((folder for folder in SHORT if Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)), None)
    if found is None:
        raise UserError(f"TMPDIR {given}: too long a path for a socket; set it to one of at most {LONGEST} characters")
    return found


@contextmanager
def _left_to_the_launcher() -> Iterator[None]:
    """A process started while SIGINT is ignored (in a thread: held back) goes on so; ours stops it by its own means."""
    if threading.current_thread() is not threading.main_thread():  # Only the main thread sets handlers.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _start_method_left_open() -> Iterator[None]:
    """Starting a server settles the program's start method, which it may want to choose itself, later."""
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if before is None:
            multiprocessing.set_start_method(None, force=True)
