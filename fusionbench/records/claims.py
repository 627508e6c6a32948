"""Claims: which process works on which run, so that two runners at once share a suite instead of doing it twice.

A claim is a lock file beside the record, made with O_EXCL, that names host and process; its time of change is its
heartbeat. It is taken over when its process is gone (same host) or its heartbeat is old (any host). If two runners ever
do train the same run, nothing breaks: the first record published stays.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from filelock import FileLock

from fusionbench.core.files import HOST, is_running

BEAT_S = 10.0
STALE_S = 120.0
GUARD = ".claims.guard"
"""Held for a moment by whoever looks whether a lock is dead; one in each folder."""


class Claims:
    """The claims of this process."""

    def __init__(self) -> None:
        self._held: set[Path] = set()
        self._last_beat = time.monotonic()

    def take(self, lock: Path) -> bool:
        """Claim; False if a living process has it."""
        lock.parent.mkdir(parents=True, exist_ok=True)
        if not self.clear_if_dead(lock):
            return False
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            json.dump({"host": HOST, "pid": os.getpid(), "since": time.time()}, file)
        self._held.add(lock)
        return True

    def release(self, lock: Path) -> None:
        """Give one claim back."""
        if lock in self._held:
            self._held.discard(lock)
            lock.unlink(missing_ok=True)

    def release_all(self) -> None:
        """Give everything back."""
        for lock in list(self._held):
            self.release(lock)

    def beat(self) -> None:
        """Show, every few seconds, that this process is alive; call it often."""
        if time.monotonic() - self._last_beat < BEAT_S:
            return
        self._last_beat = time.monotonic()
        for lock in self._held:
            if lock.exists():
                os.utime(lock)

    @staticmethod
    def clear_if_dead(lock: Path) -> bool:
        """Remove a lock whose process is gone; False if it lives."""
        if not lock.exists():
            return True
        # Judged and removed under one guard: else of two who see the dead lock, the slower would remove the new one.
        with FileLock(lock.with_name(GUARD)):
            try:
                content = lock.read_bytes()
                age = time.time() - lock.stat().st_mtime
            except FileNotFoundError:
                return True
            if not _is_dead(content, age):
                return False
            lock.unlink(missing_ok=True)
            return True


def _is_dead(content: bytes, age: float) -> bool:
    try:
        holder = json.loads(content)
        host, pid = holder["host"], int(holder["pid"])
    except (ValueError, KeyError, TypeError):
        return age > BEAT_S  # Half a lock: its maker died between making and writing it, or is doing so just now.
    return age > STALE_S or (host == HOST and not is_running(pid))
