"""A time limit in words: what fits, what was left out, how to go on. Costs are given, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fusionbench.api.foresight import Foresight
from fusionbench.api.limits import TimeLimit, warned, whole_seeds, without_latency
from fusionbench.bench.jobs import Job, LatencyJob, Place, TrainJob
from fusionbench.engines.estimates import Estimates
from fusionbench.engines.runner import Runner
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import Record
from fusionbench.records.timings import Timings

TEN_MINUTES = TimeLimit(600, "10m")
MINUTES = {"concat": 2, "late": 3, "gated": 9, "sum": 1}


class Silent:
    """A watcher that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


class Given(Estimates):
    """Costs by strategy, in minutes."""

    def of_run(self, run: RunSpec) -> float | None:
        return 60.0 * MINUTES[run.strategy.name] if run.strategy.name in MINUTES else None

    def of(self, job: Job) -> float | None:
        if isinstance(job, LatencyJob):
            return 90.0
        return self.of_run(job.run) if isinstance(job, TrainJob) else 0.0


def foresight(folder: Path, *more: str, workers: int = 1) -> Foresight:
    text = ["name: s", "datasets: [digits]", "strategies: [concat, late, gated, sum]", "seeds: 2", *more]
    suite = suite_of(parse_source("\n".join(text), "s.yaml"))
    place = Place(folder, "s", folder, 1, {})
    runner = Runner(suite, place, workers, Silent())  # type: ignore[arg-type]
    runs = tuple(suite.runs())
    return Foresight(runner, runs, Given(place, runner.store, Timings(folder, {}), runs))


def done(found: Foresight, runs: Sequence[RunSpec]) -> None:
    for run in runs:
        found.store.publish(Record(run.key, run.to_json(), "failed", "no idea"))


def test_where_not_even_one_seed_fits_that_is_said_first_and_what_would(tmp_path: Path) -> None:
    found = foresight(tmp_path)
    assert found.first_seed() == 15 * 60
    assert found.all_that_is_left() == 30 * 60
    assert warned(TEN_MINUTES, found.runner.suite, found.runs, found) == (
        "--for 10m is too short for one whole seed: that takes about 15 min here; give --for 17m, "
        "or --only strategy=concat,late,sum, which fits in 10m. What gets done is kept; the same command goes on."
    )


@pytest.mark.parametrize(("workers", "limit"), [(3, TEN_MINUTES), (1, TimeLimit(1000, "1000s"))])
def test_where_one_fits_nothing_is_said(tmp_path: Path, workers: int, limit: TimeLimit) -> None:
    found = foresight(tmp_path, workers=workers)
    assert warned(limit, found.runner.suite, found.runs, found) == ""


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = foresight(tmp_path, "measures: []")
    monkeypatch.setattr(Given, "of", lambda *_: None)
    assert warned(TEN_MINUTES, found.runner.suite, found.runs, found) == ""
    told = whole_seeds(found.runner.suite, found.runs, found.store, TEN_MINUTES, found)[1]
    assert told.endswith("not compared on the same ones: 0 of 8 runs are done; the same command goes on.")


def test_at_the_end_what_is_left_out_and_how_long_it_takes(tmp_path: Path) -> None:
    found = foresight(tmp_path)
    done(found, found.runs[:5])
    kept, told = whole_seeds(found.runner.suite, found.runs, found.store, TEN_MINUTES, found)
    assert kept.seeds == (0,)
    assert told == "--for 10m left out seed 1: 5 of 8 runs are done; the same command goes on, about 13 min more."


def test_at_the_end_without_a_whole_seed_what_one_would_take(tmp_path: Path) -> None:
    found = foresight(tmp_path)
    done(found, found.runs[:1])
    kept, told = whole_seeds(found.runner.suite, found.runs, found.store, TimeLimit(60, "60s"), found)
    assert kept == found.runner.suite
    assert told == (
        "--for 60s left out runs of every seed, so strategies are not compared on the same ones: 1 of 8 runs are done; "
        "the same command goes on, about 28 min more. One whole seed takes about 13 min here; give --for 15m, "
        "or --only strategy=sum, which fits in 60s."
    )


def test_trials_are_part_of_what_a_seed_takes(tmp_path: Path) -> None:
    plain = foresight(tmp_path)
    tuned = foresight(tmp_path, "tracks: [{name: tuned, options: {trials: 4}}]")
    assert plain.first_seed() is not None
    assert tuned.first_seed() == (1 + 4 * 2) * plain.first_seed()  # type: ignore[operator]


def test_latencies_that_there_was_no_time_for_are_said_and_how_to_get_them(tmp_path: Path) -> None:
    found = foresight(tmp_path)
    session = LatencyJob(found.runner.place, tuple(found.runs[:4]), {})
    assert without_latency(TEN_MINUTES, [], found) == ""
    assert without_latency(TEN_MINUTES, [session], found) == (
        "--for 10m left out latencies, which take about 2 min: the same command goes on."
    )
    assert without_latency(TimeLimit(60, "60s"), [session], found).endswith(": fusionbench latency s takes it.")
