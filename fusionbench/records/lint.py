"""What is wrong with records that lie in a results folder: for those that are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.records import resamples
from fusionbench.records.reading import content_of
from fusionbench.records.record import RESULTS_VERSION, InvalidRecord, from_text
from fusionbench.records.store import LATENCY, RESAMPLES, WANDB, Store


def lint(store: Store) -> Iterator[str]:
    """One line for every record of a suite that is invalid, old, misplaced, or has no resamples; nothing is changed."""
    for path in sorted(store.root.rglob("*.json")):
        if path.stem.count(".") or path.parent.name == LATENCY or path.is_relative_to(store.root / WANDB):
            continue
        try:
            record = from_text(content_of(path))
        except FileNotFoundError:  # A link to nothing, or a file that went in between.
            continue
        except InvalidRecord as error:
            yield f"{path}: {error}"
            continue
        if record.results_version < RESULTS_VERSION:
            yield f"{path}: results version {record.results_version}, now {RESULTS_VERSION}; run the suite again"
        elif (place := _place(store, record.run)) not in (None, path):
            yield f"{path}: its spec belongs at {place}"
        elif resamples.are_due(record):
            yield from _faults_of_resamples(path.with_suffix(RESAMPLES), record.key)


def _place(store: Store, run: RunSpec) -> Path | None:
    """Where its record belongs; None where a plug-in of somebody's own is not here, whose options name the folder."""
    try:
        return store.path(run)
    except UserError:
        return None


def _faults_of_resamples(path: Path, key: str) -> Iterator[str]:
    try:
        resamples.from_file(path, key)
    except FileNotFoundError:
        yield f"{path}: missing; remove the record beside it, and its run is done again"
    except InvalidRecord as error:
        yield f"{path}: {error}"
