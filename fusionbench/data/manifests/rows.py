"""Rows of a table in a file, in chunks, each with its place: CSV (TSV), JSON lines, or Parquet.

Lines are counted from 1, as editors do, with the header as line 1; rows of Parquet, which has no lines, from 0. A cell
is None where nothing stands in it; of CSV it is a str, else whatever JSON or Parquet has. Nothing heavy is imported:
pyarrow only where Parquet is read.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.data.manifests.lines import Fault, csv_records, json_records

CHUNK = 4096
"""Rows that are read together."""
FORMATS: dict[str, Literal["csv", "jsonl", "parquet"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""By the end of a file's name."""

Cells = Sequence[Any]


@dataclass(frozen=True)
class Chunk:
    """Some rows, one after the other."""

    places: Sequence[int]
    """Where each stands: its line, or its row in Parquet."""
    cells: dict[str, Cells]
    """By column, one for each row."""

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Rows:
    """A table in a file.

    Args:
        path: of the file.
        encoding: of a CSV file or of JSON lines; a byte-order mark of UTF-8 is no part of the first cell.
        delimiter: of CSV; empty: a tabulator in a file .tsv, else a comma.
    """

    path: Path
    encoding: str = "utf-8"
    delimiter: str = ""

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise UserError(f"no encoding {shown(self.encoding)}; give utf-8, latin-1, cp1252, utf-16, ...") from error
        if len(self.delimiter) > 1 or self.delimiter in ("\n", "\r", '"'):
            raise UserError(f"delimiter: {shown(self.delimiter)}; give one character, such as ; or |")

    @property
    def form(self) -> Literal["csv", "jsonl", "parquet"]:
        """Which of the three it is."""
        if self.path.suffix.lower() not in FORMATS:
            raise unknown("form of table called", self.path.suffix, FORMATS, str(self.path))
        return FORMATS[self.path.suffix.lower()]

    @cached_property
    def last_place(self) -> int:
        """The last line, or how many rows Parquet has: how far reading is can be told by it."""
        if self.form == "parquet":
            from fusionbench.data.manifests.parquet import count

            return count(self.path)
        with self.path.open("rb") as file:
            return 1 + sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))

    def place(self, number: int | str) -> str:
        """How an error calls a place: `people.csv, line 17`."""
        return f"{self.path}, {'row' if self.form == 'parquet' else 'line'} {number}"

    def fault(self, number: int, what: str) -> UserError:
        """The error of a place."""
        return UserError(f"{self.place(number)}: {what}")

    @cached_property
    def header(self) -> tuple[str, ...]:
        """The columns; of JSON lines those of the first thousand rows.

        Raises:
            UserError: there is none, it has a name twice, or the file cannot be read.
        """
        found = _header(self)
        twice = next((name for place, name in enumerate(found) if name in found[:place]), None)
        if twice is not None:
            raise UserError(f"{self.path}: two columns are called {shown(twice)}; rename one")
        if not found:
            raise UserError(f"{self.path}: there is nothing in it; a table begins with the names of its columns")
        return tuple(found)

    def chunks(self, columns: Sequence[str], fault: Fault | None = None, size: int = CHUNK) -> Iterator[Chunk]:
        """All rows, so many at a time.

        Args:
            columns: which are wanted; of JSON lines a row may lack some.
            fault: hears of rows that cannot be read, which are left out; None: the first one is an error.
            size: rows of a chunk.

        Raises:
            UserError: the file, or a row of it, cannot be read.
        """
        records = _records(self, columns, fault or self.refuse)
        while some := list(islice(records, size)):
            places, rows = zip(*some, strict=True)
            yield Chunk(places, dict(zip(columns, self._picked(columns, rows), strict=True)))

    def _picked(self, columns: Sequence[str], rows: Sequence[Cells]) -> Iterator[Cells]:
        """Column by column the cells of some rows, which CSV has whole."""
        found = list(zip(*rows, strict=True)) if columns else []
        wanted = map(self.header.index, columns) if self.form == "csv" else range(len(columns))
        for place in wanted:
            cells = found[place]
            yield [None if cell == "" else cell for cell in cells] if "" in cells else cells

    def refuse(self, number: int, what: str) -> None:
        """Raises the error of a place."""
        raise self.fault(number, what)

    @property
    def codec(self) -> str:
        """UTF-8 may begin with a mark, which is no text."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    @property
    def mark(self) -> str:
        """What stands between cells."""
        return self.delimiter or ("\t" if self.path.suffix.lower() == ".tsv" else ",")


def _header(table: Rows) -> list[str]:
    if table.form == "parquet":
        from fusionbench.data.manifests.parquet import names

        return names(table.path)
    if table.form == "csv":
        records = csv_records(table.path, table.codec, table.mark, table.refuse)
        return [name.strip() for name in next(records, (0, []))[1]]
    found: dict[str, None] = {}
    for (_, row), _ in zip(json_records(table.path, table.codec, lambda *_: None), range(1000), strict=False):
        found |= dict.fromkeys(row)
    return list(found)


def _records(table: Rows, columns: Sequence[str], told: Fault) -> Iterator[tuple[int, Cells]]:
    if table.form == "parquet":
        from fusionbench.data.manifests.parquet import rows

        return rows(table.path, columns)
    return _csv_rows(table, told) if table.form == "csv" else _json_rows(table, columns, told)


def _csv_rows(table: Rows, told: Fault) -> Iterator[tuple[int, Cells]]:
    records, header = csv_records(table.path, table.codec, table.mark, told), table.header
    next(records, None)
    count = len(header)
    for record in records:
        if len(record[1]) == count:
            yield record
        else:
            what = f"{len(record[1])} cells, the header has {count}"
            told(record[0], f"{what}; a cell that holds {shown(table.mark)} has to stand in quotation marks")


def _json_rows(table: Rows, columns: Sequence[str], told: Fault) -> Iterator[tuple[int, Cells]]:
    for place, row in json_records(table.path, table.codec, told):
        yield place, [row.get(name) for name in columns]
