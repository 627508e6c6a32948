"""Files that are whole or not there: written beside, flushed, then linked or renamed to their name."""

from __future__ import annotations

import errno
import os
import platform
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:32] or "host"
_TEMPORARY = re.compile(r"^\..+\.(?P<host>[A-Za-z0-9]+)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp$")


def write_new(path: Path, content: bytes) -> bool:
    """Publish a file that must not be there yet; False, and nothing changed, if it is.

    Raises:
        OSError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    with _beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            # A file system without hard links: the claim on the run is what keeps others away.
            if path.exists():
                return False
            temporary.rename(path)
        flush(path.parent)
        return True


def write_over(path: Path, content: bytes) -> None:
    """Put a file in the place of what is there, if anything is; OSError as `write_new`."""
    with _beside(path, content) as temporary:
        temporary.replace(path)
        flush(path.parent)


def sweep(folder: Path) -> None:
    """Remove temporary files below the folder that a killed process of this host left."""
    for path in folder.rglob(".*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and match["host"] == HOST and not is_running(int(match["pid"])):
            path.unlink(missing_ok=True)


def is_hidden(name: str) -> bool:
    """Whether an operating system put a file of that name there for itself: no file of the user's.

    >>> [is_hidden(name) for name in (".DS_Store", "._0_9.txt", "Thumbs.db", "0_9.txt")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx")


def is_running(pid: int) -> bool:
    """Whether a process of that id runs on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # It runs, as another user.
    return True


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Bring a written file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
