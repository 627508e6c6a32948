"""A dataset's .tar.gz: fetched once, read member by member as a stream that cannot unpack to more than it may."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from fusionbench.data.download import fetch, md5_of
from fusionbench.data.progress import progress

DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError)
"""What reading an archive that is cut short, damaged, too large or none may raise."""


def official(archive: Path, url: str, md5: str | None, size: int, way_out: str) -> None:
    """Downloads an archive unless it lies there already, whole and right.

    Args:
        archive: where it lies.
        url: where it comes from.
        md5: 32 hex digits; None: whoever unpacks it finds out whether its contents are right.
        size: bytes that it has, for the progress shown.
        way_out: ends an error: what else the user can do.

    Raises:
        UserError: no network, a wrong checksum, or no room.
    """
    if archive.is_file() and (md5 is None or md5_of(archive) == md5):
        return
    steps = size // 2**20
    with progress(f"{archive.name}: downloading", steps, lines=10) as show:

        def tell(so_far: int, total: int | None) -> None:
            show(min(steps, so_far // 2**20), f"{so_far / 1e6:.1f} of {(total or size) / 1e6:.1f} MB")

        fetch(url, archive, md5=md5, progress=tell, way_out=way_out)


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
