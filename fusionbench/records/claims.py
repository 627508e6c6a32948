"""Claims: which process works on which run, so that two runners at once share a suite instead of doing it twice.

A claim is a lock file beside the record, made with O_EXCL, that names host and process; its time of change is its
heartbeat. It is taken over when its process is gone (same host), or its heartbeat is old (any host), or, if it lies in
the future by a clock that goes wrong, has not changed while we watched. If two runners ever do train the same run,
nothing breaks: the first record published stays.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from fusionbench.core.files import HOST
from fusionbench.core.locks import holder, is_dead, is_whole, locked

BEAT_S = 10.0
STALE_S = 120.0
GUARD_S = 30.0
"""So long nobody holds the guard; see core/locks.py."""
GUARD = ".claims.guard"
"""Held for a moment by whoever looks whether a lock is dead; one in each folder."""


class Claims:
    """The claims of this process."""

    def __init__(self) -> None:
        self._held: set[Path] = set()
        self._last_beat = time.monotonic()
        self._seen: dict[Path, tuple[float, float]] = {}
        """By lock of others: the heartbeat last seen, and since when by our own clock."""

    def take(self, lock: Path) -> bool:
        """Claim; False if a living process has it."""
        lock.parent.mkdir(parents=True, exist_ok=True)
        if not self.clear_if_dead(lock, self._unchanged_s(lock)):
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
            _touch(lock)

    def _unchanged_s(self, lock: Path) -> float:
        """For how long this process has seen the same heartbeat."""
        try:
            beat = lock.stat().st_mtime
        except OSError:
            return 0.0
        if self._seen.get(lock, (None,))[0] != beat:
            self._seen[lock] = beat, time.monotonic()
        return time.monotonic() - self._seen[lock][1]

    @staticmethod
    def clear_if_dead(lock: Path, unchanged_s: float = 0.0) -> bool:
        """Remove a lock whose process is gone, or whose heartbeat has not changed for so long; False if it lives."""
        if not lock.exists():
            return True
        # Judged and removed under one guard: else of two who see the dead lock, the slower would remove the new one.
        with locked(lock.with_name(GUARD), moment_s=GUARD_S):
            try:
                content = lock.read_bytes()
                age = max(time.time() - lock.stat().st_mtime, unchanged_s)
            except FileNotFoundError:
                return True
            if not _is_dead(content, age):
                return False
            lock.unlink(missing_ok=True)
            return True


def _is_dead(content: bytes, age: float) -> bool:
    if not is_whole(content):
        return age > BEAT_S  # Half a lock: its maker died between making and writing it, or is doing so just now.
    return age > STALE_S or is_dead(content)


def _touch(lock: Path) -> None:
    """A new time of change; where a file system refuses that, the same content written again."""
    with suppress(OSError):  # Without a heartbeat another may do the run too: the first record stays.
        try:
            os.utime(lock)
        except FileNotFoundError:
            return
        except OSError:
            lock.write_bytes(lock.read_bytes())


def told(lock: Path) -> str:
    """Who holds a lock, since when nothing was heard of them, and how to clear it."""
    try:
        content, age = lock.read_bytes(), time.time() - lock.stat().st_mtime
    except OSError:
        return f"{lock}, which is gone by now"
    heard = f"last heard of {age:.0f} s ago" if age >= 0 else f"whose clock is {-age:.0f} s ahead"
    return f"{holder(content)}, {heard}; if it does not run any more, remove {lock}"
