"""Lines of a text file as rows of CSV or JSON, each with its line, counted from 1, and what is wrong there."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError, shown

LARGEST_CELL = 2**27
"""Characters; a quotation mark that is not closed swallows the rest of a file."""
MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""How files begin that say their encoding."""
AN_OBJECT = '{"text": "fine", "label": 1}'

Fault = Callable[[int, str], None]
"""Hears of a place and what is wrong there."""


def csv_records(path: Path, encoding: str, delimiter: str, told: Fault) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, the header too, each with its first line.

    Args:
        path: of the file.
        encoding: a byte-order mark of UTF-8 is no part of the first cell.
        delimiter: one character.
        told: hears of lines that are no text, or no CSV; those are left out.

    Raises:
        UserError: the file cannot be read.
    """
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(_lines(path, encoding, told), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            told(first, f"no CSV: {error}")
            continue
        if row:
            yield first, row


def json_records(path: Path, encoding: str, told: Fault) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects, one a line; otherwise as `csv_records`."""
    for place, line in enumerate(_lines(path, encoding, told), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            told(place, f"no JSON: {error}")
            continue
        if isinstance(found, dict):
            yield place, found
        else:
            told(place, f"{shown(found)}; each line is an object, such as {AN_OBJECT}")


def _lines(path: Path, encoding: str, told: Fault) -> Iterator[str]:
    """Decoded, with their ends as they are."""
    # Bytes that are no text come as halves of pairs, so that their line is known, and reading can go on.
    try:
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            # What is text as a whole need not be looked at line by line, which takes as long as all the rest.
            yield from (
                file if _is_clean(path, encoding) else map(partial(_checked, path, encoding, told), count(1), file)
            )
    except UnicodeError as error:
        raise UserError(f"{path}: not {encoding} ({error}){_better(path)}") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; name a file that can be read") from error


def _is_clean(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while part := file.read(2**20):
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _checked(path: Path, encoding: str, told: Fault, number: int, line: str) -> str:
    """The line, with question marks for what is no text."""
    if line.isascii() or _is_text(line):
        return line
    told(number, f"not {encoding.removesuffix('-sig')}{_better(path)}")
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _better(path: Path) -> str:
    with path.open("rb") as file:
        begin = file.read(4)
    found = next((name for mark, name in MARKS.items() if begin.startswith(mark)), "")
    return f"; its encoding is {found}" if found else "; name its encoding, such as latin-1 or cp1252"


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
