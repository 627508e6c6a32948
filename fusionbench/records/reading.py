"""Files below a results folder, read without trust: what lies there is what was asked for, or says why it is not."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionbench.plan.suite import SAME_ENCODERS, Choice
from fusionbench.records.record import SCHEMA, InvalidRecord

LARGEST = 64 * 2**20
"""Bytes: a hundred times the largest record; more would fill the memory before it says what it is."""
COUNTED = (
    *("fusion_parameters", "encoder_parameters", "trained_parameters", "training_parameters"),
    *("flops_per_sample", "fusion_flops_per_sample", "disk_bytes"),
)
"""Of the measure `size`: numbers, where they are there."""
STATED = ("options", "source")
"""Of a measure, what its file says beside the values."""


class Unreadable(InvalidRecord):
    """A file that the system does not give: it is left where it is, since it may be a good one."""


def content_of(path: Path | str) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: there is none.
        InvalidRecord: a folder, a pipe or a device, or larger than any record.
        Unreadable: it cannot be read.
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 - a report asks this a hundred thousand times
        if not stat.S_ISREG(facts.st_mode):  # A pipe would be waited for.
            raise InvalidRecord("no file")
        if facts.st_size > LARGEST:
            raise InvalidRecord(f"{facts.st_size / 2**20:,.0f} MB, more than any record has")
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except NotADirectoryError as error:
        raise FileNotFoundError(str(path)) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


def moved_aside(path: Path, why: str) -> str:
    """Rename what is no record, so that it is in nobody's way; one line on what became of it."""
    taken = {other.name for other in path.parent.glob(f"{path.name}.invalid-*")}
    number = next(n for n in range(1, len(taken) + 2) if f"{path.name}.invalid-{n}" not in taken)
    aside = path.with_name(f"{path.name}.invalid-{number}")
    try:
        path.replace(aside)
    except OSError:
        return f"{path}: not a valid record ({why}); not counted"
    return f"{path}: not a valid record ({why}); moved to {aside.name}, not counted"


def facts_at(path: Path | str, key: str) -> dict[str, Any]:
    """What a file beside records holds: a measure, or a latency session.

    Raises:
        FileNotFoundError: there is none.
        InvalidRecord: it is not the JSON of that key, or cannot be read.
    """
    return facts_of(content_of(path), key)


def facts_of(content: bytes, key: str) -> dict[str, Any]:
    """What the bytes of a file beside records hold.

    Raises:
        InvalidRecord: it is not the JSON of that key.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # Brackets by the thousand are as deep as Python's own stack.
        raise InvalidRecord(str(error)) from error
    if not isinstance(found, dict) or found.get("key") != key or found.get("schema") != SCHEMA:
        raise InvalidRecord(f"not the file of {key}")
    if found.get("measure") == "size":
        _refuse_sizes(found)
    return found


def facts_text(facts: Mapping[str, Any]) -> bytes:
    """What a file beside records holds, as it is written."""
    return (json.dumps(facts, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def stated(choice: Choice) -> dict[str, Any]:
    """What a measure's file says of the measure itself; nothing for a shipped one without options."""
    return {name: value for name in STATED if (value := getattr(choice, name))}


def track_of(session: Mapping[str, Any]) -> Choice:
    """The track of a latency session; the first ones do not say it: there was one then."""
    return Choice.from_json(session["track"]) if "track" in session else Choice(SAME_ENCODERS)


def _refuse_sizes(found: Mapping[str, Any]) -> None:
    for name in COUNTED:
        value = found.get(name, 0)
        if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
            raise InvalidRecord(f"{name} is no count")
