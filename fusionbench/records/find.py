"""One published record by its key, whichever suite it is of; nothing is moved or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fusionbench.core.errors import UserError, shown
from fusionbench.plan.suite import RunSpec
from fusionbench.records.reading import content_of
from fusionbench.records.record import RESULTS_VERSION, InvalidRecord, Record, from_text
from fusionbench.records.store import LATENCY, WANDB

DIGITS, FEWEST = 12, 4
"""Of a key, and of a beginning of one."""
A_KEY = re.compile(rf"(?:(?P<suite>[a-z0-9][a-z0-9_-]*)/)?(?P<digits>[0-9a-f]{{{FEWEST},{DIGITS}}})")


@dataclass(frozen=True)
class Found:
    """A record and where it lies."""

    suite: str
    path: Path
    record: Record

    def other_seeds(self) -> list[Record]:
        """Done records of the same row at other seeds: they lie in the same folder."""
        ours = replace(self.record.run, seed=0)
        found = []
        for path in sorted(self.path.parent.glob("*.json")):
            if path.stem.count(".") or path == self.path:
                continue
            try:
                record = from_text(content_of(path))
            except (InvalidRecord, OSError):
                continue  # `fusionbench check` names it.
            if record.status == "done" and _is_of_row(record.run, ours) and _is_current(record):
                found.append(record)
        return found


def check_folder(root: Path) -> None:
    """Refuse what is no results folder.

    Raises:
        UserError: there is none of that name, or it is no folder.
    """
    if not root.is_dir():
        what = "no folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {what}; name the one that holds the records (--results)")


def find(root: Path, key: str) -> Found:
    """The record of a key, or of the beginning of one, below a results folder.

    Args:
        root: the results folder.
        key: `2f44f0f65e44`, `2f44f0`, or with its suite `quickstart/2f44f0f65e44`.

    Raises:
        UserError: it is no key, there is none, there are several, or the file is no record that compares here.
    """
    match = A_KEY.fullmatch(key)
    if match is None:
        raise UserError(
            f"{shown(key)} is no key; give its {DIGITS} hex digits or the first of them (at least {FEWEST}), "
            "SUITE/KEY where several suites have it"
        )
    check_folder(root)
    paths = sorted(_files(root, match["suite"] or "*", match["digits"]))
    if not paths:
        raise UserError(f"no record {shown(key)} in {root}; `fusionbench plan SUITE --results {root}` lists a suite's")
    if len(paths) > 1:
        raise UserError(f"{shown(key)} could be any of {_named(root, paths)}; name one of them")
    (path,) = paths
    return Found(path.relative_to(root).parts[0], path, _read(path))


def _files(root: Path, suite: str, digits: str) -> Iterator[Path]:
    for path in root.glob(f"{suite}/*/*/{digits}*.json"):
        folders = path.relative_to(root).parts
        if not path.stem.count(".") and len(path.stem) == DIGITS and folders[2] != LATENCY and folders[1] != WANDB:
            yield path


def _named(root: Path, paths: list[Path]) -> str:
    names = [f"{path.relative_to(root).parts[0]}/{path.stem}" for path in paths]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _read(path: Path) -> Record:
    try:
        record = from_text(content_of(path))
    except InvalidRecord as error:
        raise UserError(f"{path}: not a valid record ({error})") from error
    if record.key != path.stem:
        raise UserError(f"{path}: not a valid record (holds the record of {record.key})")
    if not _is_current(record):
        raise UserError(
            f"{path}: results version {record.results_version}, this fusionbench makes {RESULTS_VERSION}; "
            "use the one that made it, or run the suite again"
        )
    return record


def _is_current(record: Record) -> bool:
    return record.results_version == RESULTS_VERSION


def _is_of_row(run: RunSpec, ours: RunSpec) -> bool:
    return replace(run, seed=0) == ours
