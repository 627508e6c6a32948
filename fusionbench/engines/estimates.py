"""How long jobs take on this machine, as far as is known: from records that were made here, else from timed steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from math import prod
from statistics import fmean
from typing import Any

from fusionbench.bench.jobs import EncodeJob, Job, LatencyJob, Place, PretrainJob, TrainJob
from fusionbench.core.catalogue import describe
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.timings import Timing, Timings, row_key

STARTING_S = 0.25
"""What a worker process costs beside what its record says: started, and waited for."""
ENOUGH = 3
"""So many records of a row are read."""
LATENCY_S = 1.1
"""Of a second that a latency session times, with its warming up."""


@dataclass
class Estimates:
    """Those of one suite's jobs."""

    place: Place
    store: Store
    timings: Timings
    runs: Sequence[RunSpec]
    """All of the suite's that are wanted: the records of a row's other seeds tell of it."""
    devices: int = 1
    _known: dict[str, float] = field(default_factory=dict)
    """By row, number of epochs and role."""
    _rows: dict[str, list[RunSpec]] = field(default_factory=dict)
    _keys: dict[tuple[object, ...], tuple[str, RunSpec]] = field(default_factory=dict)
    """By what decides a row's key; a run of it is kept, so that no other has the identities of its choices."""

    def __post_init__(self) -> None:
        for run in self.runs:
            self._rows.setdefault(f"{self.row_of(run)} {run.budget.epochs}", []).append(run)

    def of(self, job: Job) -> float | None:
        """Seconds in a worker; None: nothing is known."""
        match job:
            case TrainJob():
                return self.of_run(job.run)
            case PretrainJob():
                first = job.run.encoders[job.modality].pretrain
                return self._timed(row_key(job.run, "pretrain", job.modality), first.epochs if first else 0)
            case EncodeJob():
                return self._timed(row_key(job.run, "encode", job.modality), 0)
            case LatencyJob():
                return self._of_session(job)
        return 0.0

    def of_run(self, run: RunSpec) -> float | None:
        """Seconds of a run, or a trial, in a worker."""
        row, epochs = self.row_of(run), run.budget.epochs
        key = f"{row} {epochs} {run.role}"
        if key not in self._known:
            found = self._recorded(f"{row} {epochs}")
            found = self._timed(row, epochs, tested=run.role == "final") if found is None else found
            if found is None:
                return None
            self._known[key] = found
        return self._known[key]

    def row_of(self, run: RunSpec) -> str:
        """The key of its row, made once: runs of a row share their choices, and hashing thousands takes seconds."""
        track = (run.track.name, run.track.options.get("target"), run.track.options.get("solve"))
        parts = (id(run.dataset), id(run.strategy), id(run.encoders), *track, run.other_half)
        place = (*parts, run.budget.batch_size, run.budget.precision)
        if place not in self._keys:
            self._keys[place] = row_key(run), run
        return self._keys[place][0]

    def of_trunks(self, runs: Iterable[RunSpec]) -> float:
        """Seconds of running frozen networks over all rows, once for all seeds, as far as they were timed."""
        keys = {row_key(run, "trunk", name) for run in runs if self.place.stored_encodings for name in run.encoders}
        return sum(self._timed(key, 0) or 0.0 for key in sorted(keys))

    def filled(self, jobs: Sequence[Job]) -> list[float] | None:
        """Seconds of each; a job of which nothing is known takes as long as others on average. None: none is known."""
        found = [self.of(job) for job in jobs]
        known = [seconds for seconds in found if seconds is not None]
        if not known:
            return None if jobs else []
        mean = fmean(known)
        return [mean if seconds is None else seconds for seconds in found]

    def _timed(self, key: str, epochs: int, *, tested: bool = True) -> float | None:
        found: Timing | None = self.timings.get(key) if self.devices == 1 else None
        return None if found is None or found.reason else found.seconds(epochs, tested=tested)

    def _recorded(self, row: str) -> float | None:
        """The mean over some records of the row that were made here in the same way."""
        done = (run for run in self._rows.get(row, []) if self.store.status(run) == "done")
        records = (record for run in done if (record := self.store.read(run)) is not None and self._is_like(record))
        found = [_lasted(record) for record in islice(records, ENOUGH)]
        return fmean(found) + STARTING_S if found else None

    def _is_like(self, record: Record) -> bool:
        here = self.place.environment
        same = all(record.environment.get(name) == here[name] for name in ("host", "torch"))
        return same and (record.threads, record.devices) == (self.place.threads, self.devices)

    def _of_session(self, job: LatencyJob) -> float:
        options = job.options
        cells = prod(len(options[name]) for name in ("batch_sizes", "threads"))
        scopes = sum(1 + bool(_facts(run).get("cacheable", True)) for run in job.runs)
        return float(cells * scopes * options["seconds"] * LATENCY_S)


def packed(seconds: Iterable[float], workers: int) -> float:
    """How long so many workers take for jobs of these lengths, each taking the next when it is free.

    >>> packed([3, 1, 1, 1], 2), packed([1, 1, 4], 2), packed([], 2)
    (3.0, 5.0, 0.0)
    """
    ends = [0.0] * workers
    for one in seconds:
        ends.sort()
        ends[0] += one
    return max(ends)


def _facts(run: RunSpec) -> Mapping[str, Any]:
    return describe("strategy", run.strategy.name).facts


def _lasted(record: Record) -> float:
    """Seconds that it took from its first line to its last, reading data and measuring included.

    Of a run that was stopped and went on these are those of its last part, and training counts all parts.
    """
    began, ended = (datetime.fromisoformat(time) for time in (record.started, record.finished))
    return max(0.0, (ended - began).total_seconds(), record.train_seconds)
