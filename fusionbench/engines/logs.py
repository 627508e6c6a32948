"""Logs of workers: what one says last, for a record; and one that says nothing does not stay."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fusionbench.core.output import printable

LINES = 20
STACK_LINES = 12
"""Of where it was: the innermost calls come first."""
LONGEST = 200
"""Characters of a line."""
BYTES = 16_384


def size_of(log: Path | None) -> int:
    """In bytes; 0 where there is none."""
    try:
        return log.stat().st_size if log is not None else 0
    except OSError:
        return 0


def remove_if_empty(log: Path) -> None:
    """One that was written to stays; whose process still writes must be known not to live."""
    with suppress(OSError):
        if not log.stat().st_size:
            log.unlink()


def told_last(log: Path | None, stack_at: int | None = None) -> list[str]:
    """The last lines.

    Args:
        log: of the process; None: it has none.
        stack_at: from which byte on it says where it was when it was asked: of that the first lines.
    """
    if log is None:
        return []
    end = size_of(log) if stack_at is None else stack_at
    said = _lines(log, max(0, end - BYTES), end)[-LINES:]
    return said if stack_at is None else [*said, *_lines(log, stack_at, stack_at + BYTES)[:STACK_LINES]]


def _lines(log: Path, start: int, end: int) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read(end - start).decode(errors="replace")
    except OSError:
        return []
    home = _home()
    lines = (printable(line.replace(home, "~") if home else line).rstrip()[:LONGEST] for line in text.splitlines())
    return [line for line in lines if line]


def _home() -> str:
    """Of the user, whom a record does not name."""
    try:
        found = str(Path.home())
    except RuntimeError:
        return ""
    return found if len(found) > 1 else ""
