"""How far a suite is, from its folder alone: whoever can read it sees the same, while others work.

Done is what has a record. Running is what has a claim whose process is not known to be gone; the claim says where, how
far and how long still. All else waits. What is left to do is taken to last as long as runs of the same row did, else of
the same folder of a dataset, else any.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fusionbench.core.locks import holder, is_dead, said
from fusionbench.plan.suite import RunSpec
from fusionbench.records.claims import LOCK, SESSION, STALE_S
from fusionbench.records.expected import Expected
from fusionbench.records.glances import TO_DO
from fusionbench.records.store import LATENCY, LOG, Store
from fusionbench.records.trials import all_trials

LARGEST = 4096
"""Bytes of a claim; what is longer is none of ours."""
WAITING, RUNNING = "waiting", "running"


@dataclass(frozen=True)
class Working:
    """What a claim says."""

    host: str
    pid: int
    """Of the process that does the work, or else of the one that claimed it."""
    runner: tuple[str, int]
    """Host and process of the runner that claimed it."""
    workers: int
    """Runs that this runner does at a time."""
    done: int
    """Epochs; of a latency session, cells."""
    total: int
    """0: not said yet."""
    ran_s: float
    """Seconds, when this was said last."""
    left_s: float | None
    """Seconds; None: not known yet."""
    heard_s: float
    """Seconds since its last heartbeat, by our clock; below 0 where that of its host is ahead."""
    tries: int = 1
    """How often it was begun: before, its process hung and was ended."""

    @property
    def is_heard(self) -> bool:
        """Whether it is alive, as far as our clock tells."""
        return self.heard_s <= STALE_S


@dataclass(frozen=True)
class Standing:
    """One run."""

    run: RunSpec
    path: Path
    """Of its record, in the folder of its row."""
    status: str
    """That of its record, "foreign" if another fusionbench made it, "running" or "waiting"."""
    reason: str = ""
    seconds: float = 0.0
    """It took, from start to end."""
    working: Working | None = None
    """Who is at it; of one that is done, takes its measures."""
    has_log: bool = False
    """Whether it has printed something."""

    @property
    def dataset(self) -> str:
        """As folders call it."""
        return self.path.parents[1].name

    @property
    def strategy(self) -> str:
        """As folders call it."""
        return self.path.parent.name

    @property
    def log(self) -> Path:
        """Where what it prints lies."""
        return self.path.with_suffix(LOG)


@dataclass(frozen=True)
class Status:
    """A whole suite, at one moment."""

    standings: tuple[Standing, ...]
    sessions: tuple[tuple[Path, Working], ...]
    """Latency sessions that are being taken, by folder of the dataset."""
    notes: tuple[str, ...]
    """A line for each file that is no record, and for each claim whose process is gone."""
    work_s: float | None
    """Seconds that all the rest would take one worker; None: nothing tells yet."""
    left_s: float | None
    """Seconds until all is done, if those go on that work now; None: not known, or none works."""

    @cached_property
    def counts(self) -> Counter[str]:
        """How many runs stand in which way."""
        return Counter(standing.status for standing in self.standings)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left, and nothing goes on."""
        return not (self.counts[WAITING] or self.sessions or any(one.working for one in self.standings))

    def of(self, *statuses: str) -> list[Standing]:
        """The runs that stand so."""
        return [standing for standing in self.standings if standing.status in statuses]


class SuiteFolder:
    """A suite's part of a results folder; looked at again and again, each record is read once."""

    def __init__(self, runs: Sequence[RunSpec], store: Store) -> None:
        self.runs, self.store = runs, store

    def look(self) -> Status:
        """How it stands now; with a store that is read only nothing is changed."""
        runs = [*all_trials(self.runs, self.store), *self.runs]
        folders = {self.store.path(run).parent for run in runs}
        names = {folder: _names(folder) for folder in folders}
        gone: list[str] = []
        standings = tuple(self._standing(run, names, gone) for run in runs)
        sessions = tuple(self._sessions(folders, gone))
        work_s, left_s = _rest(standings)
        return Status(standings, sessions, (*self.store.set_aside, *gone), work_s, left_s)

    def _standing(self, run: RunSpec, names: dict[Path, set[str]], gone: list[str]) -> Standing:
        path = self.store.path(run)
        there = names[path.parent]
        has_log = f"{run.key}{LOG}" in there
        working = _working(path.with_suffix(LOCK), gone) if f"{run.key}{LOCK}" in there else None
        found = self.store.glance(run) if path.name in there else TO_DO
        if working is not None and found.status != "done":
            return Standing(run, path, RUNNING, working=working, has_log=has_log)
        status = WAITING if found.status in ("to do", "old") else found.status
        return Standing(run, path, status, found.reason, found.seconds, working, has_log)

    def _sessions(self, folders: Iterable[Path], gone: list[str]) -> Iterator[tuple[Path, Working]]:
        for dataset in sorted({folder.parent for folder in folders}):
            working = _working(dataset / LATENCY / SESSION, gone)
            if working is not None:
                yield dataset, working


def _rest(standings: Sequence[Standing]) -> tuple[float | None, float | None]:
    """Seconds of work that are left, and seconds until its end at the pace of now."""
    expected = Expected()
    for standing in standings:
        if standing.status == "done":
            expected.learn(standing.run, standing.seconds)
        elif standing.working is not None and standing.working.left_s is not None:
            expected.guess(standing.run, standing.working.ran_s + standing.working.left_s)
    open_ = [standing for standing in standings if standing.status in (WAITING, RUNNING)]
    rest = [_left(standing, expected) for standing in open_]
    known = [seconds for seconds in rest if seconds is not None]
    if len(known) < len(rest):
        return None, None
    busy = _busy([standing.working for standing in open_ if standing.working is not None], len(open_))
    return sum(known), max(*known, sum(known) / busy) if busy else None if open_ else 0.0


def _busy(working: Sequence[Working], most: int) -> int:
    """How many runs are done at a time: some workers of a runner have nothing to do while a seed ends."""
    runners = {one.runner: one.workers for one in working if one.is_heard}
    return min(most, max(sum(runners.values()), sum(one.is_heard for one in working)))


def _left(standing: Standing, expected: Expected) -> float | None:
    if standing.working is not None and standing.working.left_s is not None:
        return standing.working.left_s
    return expected.of(standing.run)


def _working(lock: Path, gone: list[str]) -> Working | None:
    """What a claim says, or None: it is gone, or its process is, which is told in a line."""
    try:
        with lock.open("rb") as file:
            content = file.read(LARGEST)
            heard = time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    if is_dead(content):
        gone.append(f"{lock}: {holder(content)} is gone; the next `run` on these results takes over")
        return None
    facts = said(content)
    left = facts.get("left_s")
    rest = None if left is None else max(0.0, _number(left) - _number(facts.get("ago_s")))
    host = str(facts.get("host", ""))[:64]
    return Working(
        host=host,
        pid=int(_number(facts.get("worker") or facts.get("pid"))),
        runner=(host, int(_number(facts.get("pid")))),
        workers=max(1, int(_number(facts.get("workers")))),
        done=int(_number(facts.get("done"))),
        total=int(_number(facts.get("total"))),
        ran_s=_number(facts.get("ran_s")),
        left_s=rest,
        heard_s=heard,
        tries=max(1, int(_number(facts.get("tries")))),
    )


def _number(value: object) -> float:
    """A number from a file that anybody may have written; 0 for anything else."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0.0


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
