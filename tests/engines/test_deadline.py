"""A time limit, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.bench.jobs import Job, Message, Place, TrainJob
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.runner import Runner
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source


def jobs(count: int) -> list[Job]:
    suite = suite_of(parse_source(f"{{name: s, datasets: [digits, wdbc], strategies: [concat], seeds: {count}}}", "s"))
    return [TrainJob(Place(Path("r"), "s", None, 1, {}), run, ()) for run in suite.runs()]


def test_what_would_not_be_done_by_then_does_not_begin() -> None:
    now, (first, second, *_) = [100.0], jobs(2)
    deadline = Deadline(60, lambda: now[0])
    assert deadline.has_room_for(first)  # Nothing is known yet, and something has to be done.
    now[0] += 20
    deadline.learn(first, 20)
    assert deadline.expected(second) == 20
    now[0] += 20
    assert deadline.has_room_for(second)
    now[0] += 1
    assert not deadline.has_room_for(second)
    now[0] += 19
    assert (deadline.left, deadline.is_over) == (0, True)


def test_a_limit_that_is_over_at_once_leaves_no_room() -> None:
    assert not Deadline(0, lambda: 5.0).has_room_for(jobs(1)[0])


def costs(seconds: dict[str, float]) -> Callable[[Job], float | None]:
    """By data set, what its runs cost."""
    return lambda job: seconds.get(job.run.dataset.name) if isinstance(job, TrainJob) else None


def test_what_is_known_of_a_job_counts_as_far_as_it_was_true_of_others() -> None:
    digits, wdbc, *_ = jobs(1)
    deadline = Deadline(60, lambda: 0.0, costs({"digits": 10, "wdbc": 30}))
    assert deadline.expected(wdbc) == 30
    deadline.learn(digits, 25)  # Something else runs here: all takes two and a half times as long.
    assert deadline.expected(wdbc) == 75
    assert not deadline.has_room_for(wdbc)
    assert not deadline.has_refused
    assert not deadline.admits(wdbc)
    assert deadline.has_refused


def test_of_a_seed_that_does_not_fit_the_tables_come_first_that_do() -> None:
    digits, wdbc, *_ = jobs(1)
    tables = [[digits] * 4, [wdbc] * 2]
    deadline = Deadline(60, lambda: 0.0, costs({"digits": 25, "wdbc": 20}))
    assert not deadline.fits([digits] * 4 + [wdbc] * 2, workers=2)
    assert deadline.in_order(tables, workers=2) == [digits] * 4 + [wdbc] * 2
    assert deadline.in_order(tables, workers=1) == [wdbc] * 2 + [digits] * 4
    assert deadline.in_order(tables, workers=6) == [digits] * 4 + [wdbc] * 2


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

    def told(self, line: str) -> None:
        pass


@pytest.mark.parametrize(("limit", "done"), [(50, [0, 0]), (65, [0, 0, 1]), (15, [0]), (1000, [0, 0, 1, 1, 2, 2])])
def test_seeds_are_done_one_after_the_other_and_no_run_that_would_end_too_late(
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
