"""Rows of a Parquet file; the one place that imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fusionbench.core.errors import UserError

AT_ONCE = 4096


def names(path: Path) -> list[str]:
    """Its columns.

    Raises:
        UserError: it is no Parquet, or cannot be read.
    """
    with _told(path), pq.ParquetFile(path) as file:
        return [str(name) for name in file.schema_arrow.names]


def count(path: Path) -> int:
    """How many rows it has; UserError as `names`."""
    with _told(path), pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Each with its number from 0; of those columns.

    Raises:
        UserError: it is no Parquet, is damaged, has text that is not UTF-8, or cannot be read.
    """
    first = 0
    with _told(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(AT_ONCE, columns=list(columns), use_threads=False):
            cells = [_cells(path, batch, name) for name in columns]
            yield from enumerate(zip(*cells, strict=True), first)
            first += batch.num_rows


def _cells(path: Path, batch: pa.RecordBatch, name: str) -> list[Any]:
    try:
        return list(batch.column(name).to_pylist())
    except UnicodeDecodeError as error:  # Arrow itself does not look at what a column of text holds.
        raise UserError(
            f"{path}: column {name!r} has text that is not UTF-8 ({error.reason}); write it again"
        ) from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # The last: a column's name.
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no Parquet, or damaged ({reason}); write it again") from error
