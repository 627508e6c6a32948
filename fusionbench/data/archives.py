"""A .tar.gz read member by member as a stream that cannot unpack to more than a stated size."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError)
"""What reading an archive that is cut short, damaged, too large or none may raise."""


@contextmanager
def members(archive: Path, limit: int) -> Iterator[tarfile.TarFile]:
    """The archive's members, to be read in their order and once.

    Args:
        archive: a .tar.gz.
        limit: bytes that it may unpack to, headers included; tarfile.ReadError beyond.
    """
    with gzip.open(archive) as plain:
        # A tar that is read as a stream asks for nothing but `read`.
        stream = cast(IO[bytes], _Limited(plain, limit))
        with tarfile.open(fileobj=stream, mode="r|") as found:
            yield found


class _Limited:
    """A stream that refuses to give more than so many bytes: a small archive may unpack to any size."""

    def __init__(self, plain: gzip.GzipFile, limit: int) -> None:
        self._plain, self._left = plain, limit

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        content = self._plain.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError("it unpacks to more bytes than it may")
        return content
