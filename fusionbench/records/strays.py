"""Files among a suite's records that are no record of it: copies, and whatever else somebody put there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import LATENCY, Store

OURS = re.compile(r"(?P<key>[0-9a-f]{12})\.(?P<rest>.+)")
"""A record, and all that lies beside it: measures, resamples, predictions, claims, and what was moved aside."""
HIDDEN = "."
"""How names begin of what operating systems and half-written files leave."""


def strays(store: Store, runs: Iterable[RunSpec]) -> Iterator[str]:
    """One line for each: a file of another name, or of a run whose place is another folder; none of them counts.

    Names alone are looked at. Records of runs that a suite does not plan are none: it may have planned them before.

    Args:
        store: whose folders are looked through.
        runs: all that the suite plans.
    """
    places: dict[str, set[Path]] = {}
    for run in runs:
        places.setdefault(run.key, set()).add(store.folder_of(run))
    for dataset in sorted({folder.parent for folder in set().union(*places.values())}):
        for folder in _folders(dataset):
            yield from _strays_in(folder, places)


def put_aside(store: Store) -> Iterator[str]:
    """One line for each file that was moved out of the way earlier, being no record: those of now are said already."""
    now = "\n".join(store.set_aside)
    for path in sorted(store.root.glob("*/*/*.invalid-*")):
        if f"moved to {path.name}," not in now:
            yield f"{path}: not a valid record, moved aside earlier; not counted"


def _strays_in(folder: Path, places: dict[str, set[Path]]) -> Iterator[str]:
    for name in sorted(_names(folder)):
        if said := _stray(name, folder, places):
            yield f"{folder / name}: {said}; not counted"


def _stray(name: str, folder: Path, places: dict[str, set[Path]]) -> str:
    found = OURS.fullmatch(name)
    if found is None:
        return "" if name.startswith(HIDDEN) else "no record's name"
    place = places.get(found["key"])
    if found["rest"] == "json" and place and folder not in place:
        return f"a copy of a record whose place is {sorted(place)[0] / name}"
    return ""


def _folders(dataset: Path) -> list[Path]:
    try:
        return sorted(path for path in dataset.iterdir() if path.is_dir() and path.name != LATENCY)
    except OSError:  # Not there, or not to be read: then no record of it is, which is said of each.
        return []


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [entry.name for entry in found]
    except OSError:
        return []
