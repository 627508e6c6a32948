"""Files that options name, weights above all: found by their path, and in a run's key by their content.

In a suite, the file of `weights: networks/lite0.pth` is read when the suite is planned. With a pin behind it, as in
`weights: networks/lite0.pth#sha256=9f2c...`, it need not be there to plan and report, and only that very content is
ever used. A path is relative to the working folder; `~` is the home folder.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from fusionbench.core.canonical import sha256_of
from fusionbench.core.errors import UserError, shown
from fusionbench.core.files import is_hidden

PIN = "#sha256="
_CHUNK = 2**20


def named_content(value: str) -> tuple[str, str]:
    """The path that an option names, and the SHA-256 of what is there, which is not read where it is pinned.

    Raises:
        UserError: no pin of 64 hex digits, or without a pin nothing there that can be read.

    >>> named_content("nowhere.pth#sha256=" + "0a" * 32)[0]
    'nowhere.pth'
    """
    path, pinned, sha256 = value.partition(PIN)
    if not pinned:
        return value, content_sha256(value)
    if not path or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UserError(f"give FILE{PIN} and 64 hex digits in lower case, got {shown(value)}")
    return path, sha256


def content_sha256(path: str) -> str:
    """SHA-256 of a file's bytes; of a folder, of its files' names and hashes.

    Raises:
        UserError: there is nothing of that name, or it cannot be read.
    """
    place = located(path)
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file() and not is_hidden(file.name))
        return sha256_of({file.relative_to(place).as_posix(): _file_sha256(file) for file in files})
    return _file_sha256(place)


def located(path: str) -> Path:
    """Where it is.

    Raises:
        UserError: there is nothing of that name.
    """
    try:
        place = Path(path).expanduser()
        if place.exists():
            return place
    except (OSError, RuntimeError, ValueError) as error:  # No home folder; a name too long, or with a null byte.
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shown(path)} is no path: {reason}") from error
    raise UserError(f"no file {shown(path)} (in {Path.cwd()}); name one that is there")


def refuse_other_content(path: str, sha256: str, owner: str) -> None:
    """The file that an option names must be the one that was planned.

    Args:
        path: as the option names it.
        sha256: what was planned.
        owner: whose option it is, for the message.

    Raises:
        UserError: it is not there, or another.
    """
    try:
        found = content_sha256(path)
    except UserError as error:
        raise UserError(f"{owner}: {error}") from error
    if found != sha256:
        raise UserError(
            f"{owner}: {path} has the SHA-256 {found[:12]}..., and {sha256[:12]}... was planned;\n"
            "put the right file there, or name the one that is there"
        )


def _file_sha256(path: Path) -> str:
    try:
        facts = path.stat()
        return _read(path.resolve(), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; name a file that can be read") from error


@cache
def _read(path: Path, *_: int) -> str:
    """Once in a process, as long as size and time are the same."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            total.update(part)
    return total.hexdigest()
