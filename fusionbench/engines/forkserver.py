"""The server that workers are forked from, started so that nothing around it gets in.

Its environment is without other programs' variables, files of the working folder hide none of Python's own modules,
Ctrl-C is left to the launcher, and its socket lies where a path is short.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.surroundings import alone

LONGEST = 70
"""Bytes of a folder's path: a socket's path ends at 103 on some systems, and Python appends 31."""
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  (a folder of a random name is made there, for us alone)
SAFE_PATH, OURS = "PYTHONSAFEPATH", "fusionbench"


def ensure_server() -> None:
    """Start the server unless it runs.

    Raises:
        UserError: there is no folder for its socket.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is loaded: meant for who trains by hand.
    with alone(), _safe_path(), _short_folder(), _left_to_the_launcher():
        forkserver.ensure_running()


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
    """A process started while SIGINT is ignored goes on ignoring it; ours stops it by its own means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
