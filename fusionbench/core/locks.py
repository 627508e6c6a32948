"""A lock that one process holds at a time, on any file system: by flock, or by a marker file where flock is refused.

    <path>          what flock locks; it stays, and is empty
    <path>.held     where flock is refused: made with O_EXCL, names host and process; removed by its holder

A marker is taken over when its process is gone (same host), or, for locks that are held for a moment, when nothing has
touched it for a while. Times of files are never compared with a clock: that of a server or another host may differ.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusionbench.core.files import HOST, is_running
from fusionbench.core.output import printable

POLL_S = 0.05
last_wait_s = float("-inf")
"""When this process has last waited for another, by the monotonic clock: who waits so does not hang."""


@contextmanager
def locked(path: Path | str, timeout_s: float | None = None, moment_s: float | None = None) -> Iterator[None]:
    """Hold the lock.

    Args:
        path: the lock file; its folder is there.
        timeout_s: how long to wait for another; None: without end.
        moment_s: nobody holds this lock for so long: a marker that has not changed since is dead.

    Raises:
        TimeoutError: another had it all the time; says who and which file.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        if not _flocked(handle, path, timeout_s):
            with _marked(path.with_name(f"{path.name}.held"), timeout_s, moment_s):
                yield
            return
        yield
    finally:
        os.close(handle)  # Gives the lock back.


def _flocked(handle: int, path: Path, timeout_s: float | None) -> bool:
    """Whether flock gave the lock; False where the file system has none."""
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(began, timeout_s, f"{path} is held by another process")
        except OSError:  # ENOLCK, ENOSYS, EOPNOTSUPP, and whatever else a network file system says.
            return False
        else:
            return True


@contextmanager
def _marked(marker: Path, timeout_s: float | None, moment_s: float | None) -> Iterator[None]:
    began, seen, since = time.monotonic(), b"", time.monotonic()
    while not _made(marker):
        content = _read(marker)
        if content != seen:
            seen, since = content, time.monotonic()
        if is_dead(content) or (moment_s is not None and time.monotonic() - since > moment_s):
            marker.unlink(missing_ok=True)
            continue
        _wait(began, timeout_s, f"{marker} is held by {holder(content)}; if that is gone, remove the file")
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def _made(marker: Path) -> bool:
    try:
        handle = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        json.dump({"host": HOST, "pid": os.getpid(), "since": time.time()}, file)
    return True


def _read(marker: Path) -> bytes:
    try:
        return marker.read_bytes()
    except FileNotFoundError:
        return b""


def said(content: bytes) -> dict[str, Any]:
    """What a lock file says; nothing where it says it to nobody: it is being written, or no lock."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_whole(content: bytes) -> bool:
    """Whether a lock file says who holds it."""
    found = said(content)
    return bool(found.get("host")) and _pid(found) is not None


def is_dead(content: bytes) -> bool:
    """Whether what a lock file says is a process of this host that is gone."""
    found = said(content)
    pid = _pid(found)
    return found.get("host") == HOST and pid is not None and not is_running(pid)


def holder(content: bytes) -> str:
    """Who a lock file says holds it: `process 7 on host somewhere`."""
    found = said(content)
    if not is_whole(content):
        return "a process that does not say its name"
    return f"process {_pid(found)} on host {printable(str(found['host']))[:64]}"


def _pid(found: Mapping[str, Any]) -> int | None:
    """A number that a process can have."""
    pid = found.get("pid")
    return pid if type(pid) is int and 0 < pid < 2**31 else None


def _wait(began: float, timeout_s: float | None, why: str) -> None:
    if timeout_s is not None and time.monotonic() - began >= timeout_s:
        raise TimeoutError(why)
    global last_wait_s  # noqa: PLW0603  (of the process, as its heartbeat is)
    last_wait_s = time.monotonic()
    time.sleep(POLL_S)
