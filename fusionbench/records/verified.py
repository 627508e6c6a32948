"""Which records somebody has trained again and found the same: a line for each in `verified.jsonl`, beside the suites.

A mark is of the bytes of a record: when these change, it says nothing any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionbench.core.files import write_over
from fusionbench.records.agreement import Verdict
from fusionbench.records.find import Found
from fusionbench.records.reading import content_of
from fusionbench.records.record import InvalidRecord

NAME = "verified.jsonl"
TOLD = ("cpu", "gpu", "torch", "fusionbench", "commit")
"""Of the environment of whoever trained it again."""


@dataclass(frozen=True)
class Mark:
    """One record that was found again."""

    suite: str
    key: str
    sha256: str
    """Of the bytes of the record's file."""


def mark_verified(path: Path, found: Found, verdict: Verdict, environment: Mapping[str, Any], when: str) -> None:
    """Add a line to a file of marks; whoever verifies again replaces the line of that record.

    Args:
        path: `verified.jsonl` of a results folder or a tree.
        found: the record.
        verdict: what a second training said of it, which held.
        environment: where that was.
        when: UTC, ISO 8601.
    """
    line = {
        "suite": found.suite,
        "key": found.record.key,
        "sha256": hashlib.sha256(found.path.read_bytes()).hexdigest(),
        "bytes_are_equal": verdict.bytes_are_equal,
        "verified": when,
        "environment": {name: environment[name] for name in TOLD if environment.get(name)},
    }
    _write(path, [*_lines(path), line])


def marks_of(path: Path) -> set[Mark]:
    """The marks in a file; lines that are none do not count. Empty where there is no such file."""
    return {Mark(line["suite"], line["key"], line["sha256"]) for line in _lines(path)}


def merge_marks(source: Path, target: Path) -> None:
    """Add the marks of one file to those of another."""
    if found := _lines(source):
        _write(target, [*_lines(target), *found])


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        content = content_of(path)
    except (FileNotFoundError, InvalidRecord):
        return []
    found = []
    for line in content.splitlines():
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("suite", "key", "sha256")):
            found.append(one)
    return found


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Sorted, one line a record, the last one that was given."""
    latest = {(line["suite"], line["key"]): line for line in lines}
    text = "".join(json.dumps(latest[place], sort_keys=True) + "\n" for place in sorted(latest))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_over(path, text.encode())
