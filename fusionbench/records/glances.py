"""What plans need to know of thousands of records: little, kept for as long as the record's file is the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fusionbench.records.record import RESULTS_VERSION, Record

FileMark = tuple[int, int, int]
"""Of a file: when it was written in nanoseconds, its size, its number; another content is another mark, since records
are written beside and renamed."""


@dataclass(frozen=True)
class Glance:
    """How a run stands."""

    status: str
    """That of its record; "old" if that is of an older results version, "foreign" if another fusionbench made it or it
    cannot be read, "to do" without one."""
    reason: str = ""
    seconds: float = 0.0
    """From its start to its end, all that it did; at least what it trained, which counts what was before it was stopped
    and went on; 0 where the record does not say."""
    fingerprint: str = ""
    """Of the data that it saw."""


TO_DO = Glance("to do")
MISSING = ("to do", "old", "foreign")
"""How runs stand that have no record that counts."""


def glance_of(record: Record) -> Glance:
    """What is kept of a record."""
    if record.results_version < RESULTS_VERSION:
        return Glance("old")
    fingerprint = record.data.fingerprint if record.data else ""
    return Glance(record.status, record.reason, _seconds(record), fingerprint)


def mark_of(path: Path | str) -> FileMark | None:
    """Which file lies there now; None: there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked for thousands
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return 0, 0, 0  # Reading it says what is wrong.
    return found.st_mtime_ns, found.st_size, found.st_ino


def _seconds(record: Record) -> float:
    try:
        passed = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, passed.total_seconds(), record.train_seconds)
