"""Claims: which process works on which run, so that two runners at once share a suite instead of doing it twice.

A claim is a lock file beside the record, made with O_EXCL, that names host and process; its time of change is its
heartbeat. It also says how far the work is, for whoever asks from elsewhere (status.py). It is taken over when its
process is gone (same host), or its heartbeat is old (any host), or, if it lies in the future by a clock that goes
wrong, has not changed while we watched. If two runners ever do train the same run, nothing breaks: the first record
published stays.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionbench.core.files import HOST
from fusionbench.core.locks import holder, is_dead, is_whole, locked, said

BEAT_S = 10.0
NOTE_S = 2.0
"""How far the work is gets written so often at most: short epochs would have the disk do nothing else."""
ROOM = 512
"""Bytes of a lock file, filled up with spaces: it is written over in one piece, and never shorter than before."""
STALE_S = 120.0
SILENT_AFTER_S = 600.0
"""A worker that neither computes nor says anything for so long hangs: its runner ends it. A default."""
GUARD_S = 30.0
"""So long nobody holds the guard; see core/locks.py."""
LOCK = ".lock"
"""How the names of claims end: that of a run is named by its key."""
SESSION = f"session{LOCK}"
"""The claim on latency sessions of a dataset."""
GUARD = ".claims.guard"
"""Held for a moment by whoever looks whether a lock is dead; one in each folder."""


@dataclass
class _Held:
    """A claim of ours."""

    since: float
    """When it was made, for readers."""
    facts: dict[str, Any] = field(default_factory=dict)
    """How far the work is."""
    noted: float = 0.0
    written: float = field(default_factory=time.monotonic)
    """When these facts were noted, and when the file was written last, by our own clock."""

    def text(self) -> bytes:
        """What the file says: who, since when, how far, and how many seconds ago that was so."""
        facts = {**self.facts, "ago_s": round(time.monotonic() - self.noted, 1)} if self.facts else {}
        return json.dumps({"host": HOST, "pid": os.getpid(), "since": self.since, **facts}).encode().ljust(ROOM)


class Claims:
    """The claims of this process."""

    def __init__(self) -> None:
        self._held: dict[Path, _Held] = {}
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
        held = self._held[lock] = _Held(time.time())
        with os.fdopen(handle, "wb") as file:
            file.write(held.text())
        return True

    def release(self, lock: Path) -> None:
        """Give one claim back."""
        if self._held.pop(lock, None):
            with suppress(FileNotFoundError):
                if _is_ours(lock.read_bytes()):  # Else it was taken over, since nothing was heard of us.
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
        for lock, held in self._held.items():
            _write(lock, held)

    def note(self, lock: Path, facts: Mapping[str, Any]) -> None:
        """How far the work is that a lock stands for; the file says it within seconds, if `beat` is called often.

        Args:
            lock: one that is held; of any other nothing is noted.
            facts: what JSON takes, well within ROOM bytes.
        """
        held = self._held.get(lock)
        if held is None:
            return
        held.facts, held.noted = dict(facts), time.monotonic()
        if held.noted - held.written >= NOTE_S:
            _write(lock, held)

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


def _write(lock: Path, held: _Held) -> None:
    """What there is to say and a new time of change; the latter alone where a file system lets nothing be rewritten."""
    held.written = time.monotonic()
    with suppress(OSError):  # Without a heartbeat another may do the run too: the first record stays.
        try:
            handle = os.open(lock, os.O_RDWR)  # Never made anew: it may have been removed by hand.
        except FileNotFoundError:
            return
        except OSError:
            os.utime(lock)
            return
        try:
            if _is_ours(os.pread(handle, ROOM, 0)):  # Else it was taken over, since nothing was heard of us.
                os.pwrite(handle, held.text(), 0)
        finally:
            os.close(handle)


def _is_ours(content: bytes) -> bool:
    found = said(content)
    return (found.get("host"), found.get("pid")) == (HOST, os.getpid())


def told(lock: Path) -> str:
    """Who holds a lock, since when nothing was heard of them, and how to clear it."""
    try:
        content, age = lock.read_bytes(), time.time() - lock.stat().st_mtime
    except OSError:
        return f"{lock}, which is gone by now"
    heard = f"last heard of {age:.0f} s ago" if age >= 0 else f"whose clock is {-age:.0f} s ahead"
    return f"{holder(content)}, {heard}; if it does not run any more, remove {lock}"
