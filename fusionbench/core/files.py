"""Files that are whole or not there: written beside, flushed, then linked or renamed to their name."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fusionbench.core.errors import UserError

HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:32] or "host"
REFUSED = (
    *(
        errno.EPERM,
        errno.EACCES,
        errno.EINVAL,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.EEXIST,
        errno.EBUSY,
    ),
    *(errno.EXDEV, errno.ENOTTY, errno.EMLINK),
)
"""What network and FUSE file systems answer to a call that they do not have."""
FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What they answer where the disk is full or broken: no other call would do better."""
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
            if error.errno in FAILED:
                raise
            # A file system without hard links, whatever it calls that (EPERM, ENOSYS, EOPNOTSUPP, ...): the claim on
            # the run is what keeps others away.
            if path.exists():
                return False
            _put(temporary, path)
        flush(path.parent)
        return True


def write_over(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Put a file in the place of what is there, if anything is; OSError as `write_new`.

    Args:
        path: of the file.
        content: what it holds, or what writes that into an open file.
    """
    with _beside(path, content) as temporary:
        _put(temporary, path)
        flush(path.parent)


def write_beside(path: Path, content: bytes) -> None:
    """The same for a file whose name may reach the disk later: with the next file that is published in its folder."""
    with _beside(path, content) as temporary:
        _put(temporary, path)


def try_out(folder: Path) -> None:
    """Write, replace and remove a file as a record is: what a file system refuses shows before anything trains.

    Raises:
        UserError: it cannot be done.
    """
    probe = folder / f".probe-{uuid.uuid4().hex[:8]}"
    try:
        write_new(probe, b"")
        write_over(probe, b"")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{folder}: no record can be written there ({error.strerror or error}); "
            "make it accessible, or name another folder with --results"
        ) from error


def _put(temporary: Path, path: Path) -> None:
    """Rename; where a file system cannot rename (over a file), write in its place: not whole at once, but there."""
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        shutil.copyfile(temporary, path)


def sweep(folder: Path) -> None:
    """Remove temporary files below the folder that a killed process of this host left."""
    for path in folder.rglob(".*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and match["host"] == HOST and not is_running(int(match["pid"])):
            with suppress(OSError):
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
def _beside(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        with temporary.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            synchronise(file)
        yield temporary
    finally:
        with suppress(OSError):  # What was to be written is there, or is on its way as another error.
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Bring a written file, or a folder's list of names, to the disk, as far as the file system does such a thing."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return  # Not every file system opens folders; what lies in it is there.
        raise
    try:
        _fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def synchronise(file: IO[bytes]) -> None:
    """Bring an open file's contents to the disk; OSError where the disk fails, not where it cannot be asked."""
    file.flush()
    _fsync(file.fileno())


def _fsync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in REFUSED:
            raise


def open_to_others(folder: Path) -> None:
    """Let other users read a folder that was made for us alone; a file system without rights has nothing to change."""
    try:
        folder.chmod(0o755)
    except OSError as error:
        if error.errno not in REFUSED:
            raise


def move_folder(source: Path, target: Path, last: str) -> None:
    """Rename a folder; where that is refused, copy its files, the one named `last` at the end."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        target.mkdir(exist_ok=True)
        for path in sorted(source.iterdir(), key=lambda path: path.name == last):
            shutil.copyfile(path, target / path.name)
