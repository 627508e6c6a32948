"""Where a suite's records lie, and how they are published and read: whole or not at all, a done one never replaced.

<results>/<suite>/<dataset>/<strategy>/<key>.json           the record
                                       <key>.<measure>.json one file per measure, added later without touching it
                                       <key>.resamples.json test scores on resampled test rows
                                       <key>.npz            test predictions
                                       <key>.weights.*      the weights, where a suite keeps them; see weights.py
<results>/<suite>/<dataset>/latency/<key>.json              one latency session over all strategies
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fusionbench.core.canonical import short_key
from fusionbench.core.errors import UserError
from fusionbench.core.files import sweep, write_beside, write_new, write_over
from fusionbench.plan.names import have_one_size, slug
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records import resamples
from fusionbench.records.glances import TO_DO, FileMark, Glance, glance_of, mark_of
from fusionbench.records.reading import (
    STATED,
    Unreadable,
    content_of,
    facts_at,
    facts_text,
    moved_aside,
    stated,
    track_of,
)
from fusionbench.records.record import RESULTS_VERSION, SCHEMA, ForeignRecord, InvalidRecord, Record, from_text, to_text
from fusionbench.records.resamples import Resamples

LATENCY, FORMS = "latency", "forms"
RESAMPLES = ".resamples.json"
TENSORS, LOG = ".weights.safetensors", ".log"
WANDB, JOBS = "wandb", "slurm"
"""Below a suite's folder, no records: W&B's own files; logs of SLURM's jobs, and what submitit keeps."""

T = TypeVar("T")


class Store:
    """The records of one suite under a results folder; `read_only` leaves what is no record where it lies."""

    def __init__(self, root: Path, suite: str, *, read_only: bool = False) -> None:
        self.root, self.read_only = root / suite, read_only
        self.set_aside: list[str] = []
        """One line for every file that is no record of ours, most of them moved aside: shown to the user."""
        self._left: dict[str, str] = {}
        """By key, why a record that lies there does not count and stays, and the way out."""
        self._glances: dict[str, tuple[FileMark, Glance]] = {}
        """By key, what was seen of a record, and of which file."""
        self._folders: dict[tuple[int, int], tuple[str, Choice, Choice]] = {}
        """By the identities of a dataset's and a strategy's choice; these too, so that none takes their identity."""

    # --- places --------------------------------------------------------------------------------------------------

    def folder(self, dataset: Choice) -> Path:
        """Where everything about one dataset lies."""
        return self.root / slug("dataset", dataset)

    def path(self, run: RunSpec, suffix: str = ".json") -> Path:
        """Where a run's record, or a file beside it, lies."""
        return Path(self._place(run, suffix))

    def folder_of(self, run: RunSpec) -> Path:
        """Where a run's record and the files beside it lie."""
        return self.path(run).parent

    def _place(self, run: RunSpec, suffix: str = ".json") -> str:
        """`path` as text: making paths of thousands of records takes longer than reading some of them."""
        # Kept for the very choices that it was asked of: the runs of a row share them, and a slug takes long.
        if (of := (id(run.dataset), id(run.strategy))) not in self._folders:
            folder = self.folder(run.dataset) / slug("strategy", run.strategy)
            self._folders[of] = (str(folder), run.dataset, run.strategy)
        return f"{self._folders[of][0]}{os.sep}{run.key}{suffix}"

    # --- records -------------------------------------------------------------------------------------------------

    def read(self, run: RunSpec) -> Record | None:
        """The record of a run, or None: one of an older results version does not count.

        An invalid file is moved aside, a record that another fusionbench made is left; `set_aside` names both.
        """
        record = self._any(run)
        return None if record is None or record.results_version < RESULTS_VERSION else record

    def status(self, run: RunSpec) -> str:
        """The status of its record; "old" if that is of an older results version, "foreign", or "to do"."""
        return self.glance(run).status

    def glance(self, run: RunSpec) -> Glance:
        """How a run stands; a record that was looked at before is read again only if its file is another one now."""
        mark = mark_of(self._place(run))
        if mark is None:
            return TO_DO
        known = self._glances.get(run.key)
        if known is None or known[0] != mark:
            record = self._any(run)
            unread = Glance("foreign") if run.key in self._left else TO_DO
            known = self._glances[run.key] = mark, glance_of(record) if record else unread
        return known[1]

    def is_wanted(self, run: RunSpec, again: Collection[str] = ()) -> bool:
        """Whether a run is still to be done: it has no record that counts, or one of a status to be done again.

        Raises:
            UserError: another fusionbench made the record that lies there, or it cannot be read.
        """
        status = self.status(run)
        if run.key in self._left:
            raise UserError(self._left[run.key])
        return status in ("to do", "old", *again)

    def put_old_aside(self, run: RunSpec) -> None:
        """Rename a record of an older results version, and all files beside it, to NAME.version-N."""
        record = self._any(run)
        if record is None or record.results_version == RESULTS_VERSION:
            return
        path = self.path(run)
        for one in [*path.parent.glob(f"{run.key}.*json"), *(path.with_suffix(end) for end in (".npz", TENSORS))]:
            if one.exists():
                one.replace(one.with_name(f"{one.name}.version-{record.results_version}"))

    def publish(self, record: Record) -> bool:
        """Publish a record; one that is not "done" gives way, a done one never does (then False).

        Raises:
            OSError: it cannot be written; nothing is half-written.
            ValueError: a number is not finite, or the record does not read back as itself.
        """
        self.put_old_aside(record.run)
        content = to_text(record).encode()
        if from_text(content) != record:
            raise ValueError(f"the record {record.key} does not read back as itself")
        path = self.path(record.run)
        if write_new(path, content):
            return True
        there = self.read(record.run)
        if there is not None and there.status == "done":
            return False
        write_over(path, content)
        return True

    # --- beside records ------------------------------------------------------------------------------------------

    def read_measure(self, run: RunSpec, name: str) -> dict[str, Any] | None:
        """The results of one measure of a run, or None."""
        path = self._place(run, f".{name}.json")
        return self._found(path, lambda: facts_at(path, run.key))

    def has_measure(self, run: RunSpec, choice: Choice) -> bool:
        """Whether that measure was taken of a run: with the same options, by the same source if it is a user's own."""
        found = self.read_measure(run, choice.name)
        return found is not None and {name: found[name] for name in STATED if name in found} == stated(choice)

    def publish_measure(self, run: RunSpec, name: str, values: Mapping[str, Any]) -> None:
        """Write the results of one measure of a run."""
        facts = {"schema": SCHEMA, "key": run.key, "measure": name, **values}
        write_beside(self.path(run, f".{name}.json"), facts_text(facts))

    def read_resamples(self, run: RunSpec) -> Resamples | None:
        """A run's test scores on resampled test rows, or None; an invalid file is moved aside, as a record is."""
        path = self._place(run, RESAMPLES)
        return self._found(path, lambda: resamples.from_file(path, run.key))

    def publish_resamples(self, run: RunSpec, found: Resamples) -> None:
        """Write a run's test scores on resampled test rows: before its record, so that a done record has them."""
        write_beside(self.path(run, RESAMPLES), resamples.to_text(found).encode())

    def publish_arrays(self, run: RunSpec, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write a run's test predictions."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
        write_beside(self.path(run, ".npz"), buffer.getvalue())

    def read_latency(self, dataset: Choice, track: Choice, *, of_forms: bool = False) -> list[dict[str, Any]]:
        """All sessions of models, or of forms, on a dataset under a track, which decides their sizes; oldest first."""
        sessions = []
        for path in sorted((self.folder(dataset) / LATENCY).glob("*.json")):
            found = self._found(path, partial(facts_at, path, path.stem))
            try:
                if found and found.get("results_version", 1) == RESULTS_VERSION and (FORMS in found) == of_forms:
                    sessions += [found] if have_one_size(track_of(found), track) else []
            except (AttributeError, KeyError, TypeError) as error:
                self._move_aside(path, f"track: {error}")
        return sorted(sessions, key=lambda session: str(session.get("started", "")))

    def publish_latency(self, dataset: Choice, session: Mapping[str, Any]) -> Path:
        """Write a latency session; its key is the hash of what it holds."""
        versions = {"schema": SCHEMA, "results_version": RESULTS_VERSION}
        facts = {**versions, "key": short_key(session), **session}
        path = self.folder(dataset) / LATENCY / f"{facts['key']}.json"
        write_new(path, facts_text(facts))
        return path

    # --- care ----------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove what killed processes of this host left half-written."""
        if self.root.exists():
            sweep(self.root)

    def _any(self, run: RunSpec) -> Record | None:
        """The record of a run, of whichever results version."""
        path = self._place(run)
        try:
            record = from_text(content_of(path), run)
            if record.key != run.key:
                raise InvalidRecord(f"holds the record of {record.key}")
        except FileNotFoundError:
            return None
        except (ForeignRecord, Unreadable) as error:
            if run.key not in self._left:
                way = "use that fusionbench" if isinstance(error, ForeignRecord) else "make it readable"
                self._left[run.key] = f"{path}: {error}; {way}, or another --results folder"
                self.set_aside.append(f"{path}: {error}; left where it is, not counted")
            return None
        except InvalidRecord as error:
            self._move_aside(Path(path), str(error))
            return None
        return record

    def _found(self, path: Path | str, read: Callable[[], T]) -> T | None:
        """What a file beside records holds, or None, and `set_aside` says why where there is one."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except Unreadable as error:
            self.set_aside.append(f"{path}: {error}; left where it is, not counted")
        except InvalidRecord as error:
            self._move_aside(Path(path), str(error))
        return None

    def _move_aside(self, path: Path, why: str) -> None:
        """Unless nothing is to be changed here."""
        left = f"{path}: not a valid record ({why}); not counted"
        line = left if self.read_only else moved_aside(path, why)
        if line not in self.set_aside:
            self.set_aside.append(line)
