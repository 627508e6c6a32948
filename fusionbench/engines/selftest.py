"""Whether several devices give what one gives, on the machine at hand: the suite `selftest` trained both ways."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fusionbench.bench.jobs import Job, Place, RendezvousJob
from fusionbench.core.catalogue import describe
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Pool, Watcher
from fusionbench.engines.runner import Runner
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.record import Record
from fusionbench.records.store import Store

CPU_TOLERANCE = 1e-6
GPU_TOLERANCE = 5e-3
"""GPUs add up float32 in an order that depends on the batch; one of 360 test samples is 0.003 of accuracy."""


@dataclass(frozen=True)
class Compared:
    """One strategy, trained both ways."""

    strategy: str
    difference: float | None
    """The largest of any test score; None if one of the two did not end well."""
    seconds: tuple[float, float]
    """Training on one device, and on several."""
    reason: str
    """Of its loss over the whole batch, or of what went wrong."""
    is_fine: bool


@dataclass
class SelfTest:
    """One way first, then the other, into two folders below `place.results`."""

    suite: Suite
    place: Place
    devices: int
    gpus: tuple[str, ...]
    watcher: Watcher
    clock: Callable[[], float] = field(default=time.perf_counter)

    @property
    def tolerance(self) -> float:
        """The largest difference that is none; two runs on one device are the same byte for byte."""
        if self.devices == 1:
            return 0.0
        return GPU_TOLERANCE if self.gpus else CPU_TOLERANCE

    def run(self) -> list[Compared]:
        """Train everything twice and compare."""
        ways = [self._trained("one", 1), self._trained("several", self.devices)]
        return [self._compared(run, ways[0].read(run), ways[1].read(run)) for run in self.suite.runs()]

    def start_up(self) -> tuple[str, float]:
        """What the devices talk over, and what it costs in seconds that several start, next to one."""
        took = []
        for devices in (1, self.devices):
            started = self.clock()
            ((_, joined),) = Pool(1, self.watcher, self.gpus).run([RendezvousJob(self.place, devices)], _NoFiles())
            took.append(self.clock() - started)
        return str(joined.facts["backend"]), took[1] - took[0]

    def _trained(self, folder: str, devices: int) -> Store:
        place = replace(self.place, results=self.place.results / folder)
        runner = Runner(self.suite, place, 1, self.watcher, devices, self.gpus)
        runner.run(list(self.suite.runs()))
        return runner.store

    def _compared(self, run: RunSpec, one: Record | None, several: Record | None) -> Compared:
        name = slug("strategy", run.strategy)
        across = str(describe("strategy", run.strategy.name).facts.get("batch_level", ""))
        for record, how in ((one, "one device"), (several, f"{self.devices} devices")):
            if record is None or record.status != "done":
                skipped = record is not None and record.status == "skipped"
                reason = f"{record.status if record else 'missing'} on {how}: {record.reason if record else ''}"
                return Compared(name, None, (0.0, 0.0), reason, skipped)
        assert one is not None
        assert several is not None
        difference = max(abs(value - several.scores[score]) for score, value in one.scores.items())
        same = _text(one) == _text(several) if self.devices == 1 else difference <= self.tolerance
        seconds = (one.train_seconds, several.train_seconds)
        return Compared(name, difference, seconds, across, same or bool(across and self.devices > 1))


def _text(record: Record) -> str:
    return json.dumps([record.scores, record.validation, record.curves])


class _NoFiles(JobFiles):
    """For what leaves no files."""

    def __init__(self) -> None:
        super().__init__(Store(Path(), ""))

    def lock(self, job: Job) -> Path | None:
        """Nobody else does it."""
        return None

    def is_done(self, job: Job) -> bool:
        """Never."""
        return False
