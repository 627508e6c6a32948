"""A time limit: what would not be done by then does not begin, and what is compared comes first.

Runs come seed by seed, since whole seeds are comparable. Of a seed that does not fit, whole tables come first. What
time is left then is for single runs: they are kept, and the same command goes on with the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fusionbench.bench.jobs import Job, TrainJob
from fusionbench.engines.estimates import packed


@dataclass
class Deadline:
    """So many seconds from now."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    cost: Callable[[Job], float | None] = lambda _: None
    """Seconds that a job takes in a worker; None: not known."""
    began: float = field(init=False)
    has_refused: bool = False
    """Whether there was no time for something."""
    _took: list[float] = field(default_factory=list)
    """Of the runs that this call has done."""
    _against: list[tuple[float, float]] = field(default_factory=list)
    """What those took of which something was known, and what that was."""

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left(self) -> float:
        """Seconds; negative when it is over."""
        return self.began + self.seconds - self.clock()

    @property
    def is_over(self) -> bool:
        """Whether nothing more may begin."""
        return self.left <= 0

    def learn(self, job: Job, seconds: float) -> None:
        """So long a job took in a worker."""
        if isinstance(job, TrainJob):
            self._took.append(seconds)
            known = self.cost(job)
            if known:
                self._against.append((seconds, known))

    def expected(self, job: Job) -> float | None:
        """Seconds that a job will take, as far as is known: those that are done say how good what is known is."""
        known = self.cost(job)
        if known is None:
            is_like = isinstance(job, TrainJob) and self._took
            return sum(self._took) / len(self._took) if is_like else None
        took, foreseen = (sum(part) for part in zip(*self._against, strict=True)) if self._against else (1.0, 1.0)
        return known * took / foreseen

    def admits(self, job: Job) -> bool:
        """As `has_room_for`; what is not admitted will not be done."""
        fits = self.has_room_for(job)
        self.has_refused = self.has_refused or not fits
        return fits

    def has_room_for(self, job: Job) -> bool:
        """Whether it would be done by then; one of which nothing is known may begin."""
        return not self.is_over and (self.expected(job) or 0.0) <= self.left

    def fits(self, jobs: Sequence[Job], workers: int, after: Sequence[Job] = ()) -> bool:
        """Whether all of them, after others, would be done by then, so many at a time."""
        expected = [self.expected(job) for job in (*after, *jobs)]
        known = [one for one in expected if one is not None]
        mean = sum(known) / len(known) if known else 0.0
        return packed((mean if one is None else one for one in expected), workers) <= self.left

    def in_order(self, tables: Sequence[Sequence[Job]], workers: int) -> list[Job]:
        """The runs of a seed as they are begun: if not all fit, whole tables that do before those that do not."""
        every = [job for table in tables for job in table]
        if self.fits(every, workers):
            return every
        first: list[Job] = []
        for table in tables:
            first += table if self.fits(table, workers, first) else []
        return [*first, *(job for job in every if job not in first)]
