"""Download of one file: resumed where it was cut off, its MD5 checked before it gets its name.

<name>.part   what has come so far; goes on from there after a cut, a kill or a full disk
<name>        whole and verified, or not there
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from fusionbench.core.errors import UserError
from fusionbench.core.files import synchronise
from fusionbench.core.locks import locked

CHUNK = 2**16
"""Bytes asked of the network at once."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BUSY = (408, 425, 429)
"""HTTP statuses below 500 that may pass."""

Progress = Callable[[int, int | None], None]
"""progress(bytes so far, bytes in all or None)."""


@dataclass(frozen=True)
class _Job:
    """What `fetch` was asked for."""

    url: str
    target: Path
    md5: str | None
    attempts: int
    pause_s: float
    timeout_s: float
    progress: Progress

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.target.with_name(self.target.name + ".part")

    def is_right(self, path: Path) -> bool:
        """Whether the file is there, with the right contents as far as they are known."""
        return path.is_file() and (self.md5 is None or md5_of(path) == self.md5.lower())


class _Passing(Exception):
    """A fault of the network or the server that may be gone at the next attempt."""


def fetch(
    url: str,
    target: Path,
    *,
    md5: str | None = None,
    attempts: int = 5,
    pause_s: float = 1.0,
    timeout_s: float = 30.0,
    progress: Progress | None = None,
    way_out: str = "",
) -> Path:
    """Brings a file here unless it is here already; safe to call from several processes.

    Args:
        url: where it is; http or https.
        target: its name here; appears only when the file is whole and right.
        md5: 32 hex digits; None: only the length is checked.
        attempts: how often to try before giving up; what came so far is kept between them.
        pause_s: before the second attempt, in seconds; doubles with each.
        timeout_s: how long the server may be silent, in seconds.
        progress: told after every piece.
        way_out: ends each error: what else the user can do.

    Returns:
        target.

    Raises:
        UserError: no network, no such file, wrong checksum, or no room; says what to do.
    """
    job = _Job(url, target, md5, attempts, pause_s, timeout_s, progress or _silent)
    ending = f"; {way_out}" if way_out else ""
    try:
        _bring(job)
    except _Passing as error:
        raise UserError(f"{_given_up(job, error)}{ending}") from error
    except UserError as error:
        raise UserError(f"{error}{ending}") from error
    except OSError as error:
        raise UserError(f"{_local_fault(error, target)}{ending}") from error
    return target


def _silent(so_far: int, total: int | None) -> None:
    """Tells nobody."""


def md5_of(path: Path) -> str:
    """MD5 of a file's contents, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _bring(job: _Job) -> None:
    if job.is_right(job.target):
        return
    job.target.parent.mkdir(parents=True, exist_ok=True)
    # One lock for the folder, not one per file: there may be thousands.
    with locked(job.target.parent / ".download.lock"):
        if not job.is_right(job.target):
            _attempts(job)


def _attempts(job: _Job) -> None:
    for attempt in range(job.attempts):
        try:
            resumed = _transfer(job)
        except _Passing:
            if attempt + 1 == job.attempts:
                raise
            time.sleep(job.pause_s * 2**attempt)
            continue
        if job.is_right(job.part):
            job.part.replace(job.target)
            return
        found = md5_of(job.part)
        job.part.unlink()
        # Pieces of two versions of a file may have met: only a file from one piece is judged.
        if not resumed:
            raise UserError(f"{job.url}: wrong checksum: MD5 {found}, expected {job.md5}; nothing was kept")
    raise UserError(f"{job.url}: wrong checksum after every one of {job.attempts} attempts; nothing was kept")


def _transfer(job: _Job) -> bool:
    """Fetches what is missing of the file; says whether there was a piece to go on from."""
    have = _size(job.part)
    # Identity: a compressed transfer has no byte ranges of the file itself.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(job.url, headers=headers, stream=True, timeout=job.timeout_s) as answer:
            if answer.status_code == 416:
                _refuse_longer(answer, job.part, have)
                return True
            _refuse_error(answer, job.url)
            start = have if _continues(answer, have) else 0
            _write(answer, job.part, start, job.progress)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(_reason(error)) from error
    except requests.RequestException as error:
        raise UserError(f"{job.url}: {_reason(error)}") from error
    return start > 0


def _write(answer: requests.Response, part: Path, start: int, progress: Progress) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            progress(file.tell(), total)
        synchronise(file)
        if total is not None and file.tell() != total:
            raise _Passing(f"cut off after {file.tell()} of {total} bytes")


def _continues(answer: requests.Response, have: int) -> bool:
    """Whether the answer goes on exactly where we stopped; a server without ranges sends all of it with 200."""
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _refuse_longer(answer: requests.Response, part: Path, have: int) -> None:
    """The server has nothing after our last byte: we have all of the file, or more than there is of it."""
    if answer.headers.get("Content-Range", "").rpartition("/")[2] != str(have):
        part.unlink()
        raise _Passing("the server's file is shorter than what came before")


def _refuse_error(answer: requests.Response, url: str) -> None:
    if answer.status_code >= 500 or answer.status_code in BUSY:
        raise _Passing(f"HTTP {answer.status_code} {answer.reason}")
    if answer.status_code not in (200, 206):
        raise UserError(f"{url}: HTTP {answer.status_code} {answer.reason}")


def _reason(error: requests.RequestException) -> str:
    """The innermost cause in a few words: urllib3 wraps it several times over."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return f"{type(error).__name__}: {str(inner)[:120]}"


def _given_up(job: _Job, error: _Passing) -> str:
    kept = f"; {_size(job.part) // 2**20} MiB are kept: run it again" if job.part.exists() else ""
    return f"{job.url}: cannot be downloaded ({error}), tried {job.attempts} times{kept}"


def _local_fault(error: OSError, target: Path) -> str:
    if error.errno in DISK_FULL:
        free = shutil.disk_usage(target.parent).free // 2**20
        return f"{target}: {error.strerror} ({free} MiB free); make room and run it again, it goes on"
    return f"{target}: cannot be written: {error.strerror or error}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
