"""A time limit, by a clock that the test turns."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from small_suites import Bench

from fusionbench.bench.jobs import Job, Message, Place, TrainJob
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.runner import Runner
from fusionbench.plan.load import load_suite


def test_no_seed_begins_that_would_not_be_whole_by_then() -> None:
    now = [100.0]
    deadline = Deadline(60, lambda: now[0])
    assert deadline.has_room_for(1000)  # Nothing is known yet, and something has to be done.
    now[0] += 20
    deadline.learn(10, 20)
    assert deadline.has_room_for(20)
    assert not deadline.has_room_for(21)
    now[0] += 39
    assert (deadline.left, deadline.is_over) == (1, False)
    now[0] += 1
    assert deadline.is_over
    assert not deadline.has_room_for(0)


def test_a_limit_that_is_over_at_once_leaves_no_room() -> None:
    assert not Deadline(0, lambda: 5.0).has_room_for(1)


@dataclass
class Turning:
    """A clock that every training run turns on by so many seconds; it shows nothing else."""

    seconds: float
    now: float = 0.0

    def ended(self, job: Job, message: Message) -> None:
        self.now += self.seconds * isinstance(job, TrainJob)

    def started(self, job: Job) -> None:
        pass

    def progress(self, job: Job, message: Message) -> None:
        pass

    def waiting(self, count: int, holder: str) -> None:
        pass

    def more(self, count: int) -> None:
        pass


@pytest.mark.parametrize(("limit", "done"), [(50, [0, 0]), (15, [0]), (1000, [0, 0, 1, 1, 2, 2])])
def test_a_suite_stops_at_whole_seeds_or_where_even_the_first_takes_too_long(
    bench: Bench, limit: float, done: list[int]
) -> None:
    suite = load_suite(bench.suite(seeds=3, measures=[]))
    clock = Turning(20)
    place = Place(bench.folder / "results", suite.name, bench.data, 1, {})
    runner = Runner(suite, place, 1, clock)
    counts = runner.run(list(suite.runs()), deadline=Deadline(limit, lambda: clock.now))
    assert counts["done"] == len(done)
    assert sorted(record["spec"]["seed"] for record in bench.records().values()) == done
    assert list((bench.folder / "results").rglob("*.lock")) == []
