"""Watches what reading does beside reading: files changed outside a folder, code executed, processes, connections.

By Python's audit events, so that nothing has to be replaced; what libraries in C do past Python is seen by its traces:
whoever fuzzes looks at the folder around.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTED = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "pty.spawn")
CONNECTED = ("socket.connect", "socket.bind", "urllib.Request")
EXECUTED = ("pickle.find_class", "ctypes.dlopen", "code.__new__", "builtins.input", "webbrowser.open")
CHANGED = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """One for a process, since Python takes no audit hook back; it looks only while it is asked to."""

    def __init__(self) -> None:
        self.inside: str | None = None
        """The folder that may be changed; None: nobody looks."""
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        """AssertionError if anything happens that is no reading, but for files that change in the folder."""
        self.inside, self.seen = os.path.realpath(folder), []
        try:
            yield
        finally:
            self.inside = None
        assert not self.seen, f"reading did more than that: {self.seen}"

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if event == "open":
            path, _, flags = given
            if isinstance(flags, int) and flags & WRITING and self._is_outside(path):
                self.seen.append(f"opened {path!r} to write")
        elif event in CHANGED:
            # A path beside an open folder is that of a removal step by step, which began with a whole path.
            beside = event != "os.truncate" and isinstance(given[-1], int) and given[-1] >= 0
            if not beside:
                paths = given[:2] if event in ("os.rename", "os.link") else given[1:2] if "sym" in event else given[:1]
                self.seen += [f"{event} {path!r}" for path in paths if self._is_outside(path)]
        elif event in STARTED + CONNECTED + EXECUTED:
            self.seen.append(f"{event} {given!r:.200}")
        elif event == "exec" and not _is_importing():
            self.seen.append(f"executed {given[0]!r:.200}")

    def _is_outside(self, path: object) -> bool:
        if isinstance(path, int):  # An open file.
            return False
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)
        place = os.path.realpath(text)
        assert self.inside is not None
        return not (place == self.inside or place.startswith(self.inside + os.sep)) and "__pycache__" not in place


def _is_importing() -> bool:
    """Whether a library is being imported, which executes its module."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
