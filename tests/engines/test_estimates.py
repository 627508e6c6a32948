"""How long jobs take: what records and timed steps say, and what that comes to with several workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fusionbench.bench.jobs import LatencyJob, Place, TrainJob
from fusionbench.engines.estimates import STARTING_S, Estimates, packed
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.timings import Timing, Timings, machine, row_key

HERE = {"host": "h", "torch": "2.9", "cpu": "c", "instructions": "", "cores": 2}
HERE |= {"python": "3.11", "lightning": "2.6", "fusionbench": "0"}


def suite(*more: str) -> Suite:
    text = ["name: s", "datasets: [digits]", "strategies: [concat, late]", "seeds: 3", *more]
    return suite_of(parse_source("\n".join(text), "s.yaml"))


def estimates(folder: Path, of: Suite, **changes: Any) -> Estimates:
    place = Place(folder, of.name, folder, 1, HERE)
    timings = Timings(folder, machine(HERE, (), 1))
    return Estimates(place, Store(folder, of.name), timings, tuple(of.runs()), **changes)


def record(run: RunSpec, seconds: int, **changes: Any) -> Record:
    times = {"started": "2026-01-01T00:00:00+00:00", "finished": f"2026-01-01T00:00:{seconds:02}+00:00"}
    fields = {"reason": "no idea", "environment": HERE, **times, **changes}
    return Record(run.key, run.to_json(), "failed", **fields)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that count as done, though they hold no scores."""
    monkeypatch.setattr(Store, "status", lambda self, run: "done" if self.read(run) else "to do")
    monkeypatch.setattr(Estimates, "_is_like", lambda self, record: record.environment.get("host") == "h")


@pytest.mark.usefixtures("seen")
def test_other_seeds_of_a_row_say_how_long_the_next_one_takes(tmp_path: Path) -> None:
    found = suite()
    concat, late, later = (run for run in list(found.runs())[:3])
    store = Store(tmp_path, "s")
    store.publish(record(concat, 7))
    known = estimates(tmp_path, found)
    assert known.of_run(later) == 7 + STARTING_S
    assert known.of_run(late) is None
    place = known.place
    jobs = [TrainJob(place, run, ()) for run in (later, late)]
    assert known.filled(jobs) == [7 + STARTING_S] * 2  # Of what nothing is known takes as long as the others.
    assert known.filled([jobs[1]]) is None
    store.publish(record(late, 9, environment={**HERE, "host": "another"}))
    assert known.of_run(late) is None


def test_timed_steps_say_it_where_there_is_no_record_and_trials_are_not_tested(tmp_path: Path) -> None:
    found = suite("budget: {epochs: 10}", "tracks: [{name: matched_parameters, options: {target: 5000}}]")
    run = next(iter(found.runs()))
    known = estimates(tmp_path, found)
    known.timings.add({row_key(run): Timing(2.0, 0.5, 1.0)})
    again = estimates(tmp_path, found)
    assert again.of_run(run) == 2 + 5 + 1
    trial = RunSpec(run.dataset, run.strategy, run.encoders, 10**6, run.track, run.budget, "trial")
    assert again.of_run(trial) == 2 + 5
    assert estimates(tmp_path, found, devices=2).of_run(run) is None  # Steps were timed on one.


def test_a_row_is_timed_once_for_all_seeds_rates_and_epochs() -> None:
    plain, changed = (next(iter(suite(more).runs())) for more in ("", "budget: {epochs: 3, learning_rate: 1}"))
    assert row_key(plain) == row_key(changed)
    assert len({row_key(run) for run in suite().runs()}) == 2
    larger = next(iter(suite("budget: {batch_size: 64}").runs()))
    assert row_key(plain) != row_key(larger)


def test_what_was_timed_stays_beside_the_data_by_machine(tmp_path: Path) -> None:
    here, there = machine(HERE, (), 1), machine(HERE, ("0",), 1)
    Timings(tmp_path, here).add({"a": Timing(1.0), "b": Timing(reason="out of memory")})
    Timings(tmp_path, here).add({"c": Timing(2.0)})
    assert Timings(tmp_path, here).rows == {"a": Timing(1.0), "c": Timing(2.0)}  # What failed is tried again.
    assert Timings(tmp_path, there).rows == {}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"rows": 3}', '{"rows": {"a": {"speed": 3}}}', '{"rows": {"a": {"fixed": -1}}}', "\0"]
)
def test_a_file_of_timings_that_is_none_counts_as_none_and_is_written_anew(tmp_path: Path, content: str) -> None:
    timings = Timings(tmp_path, machine(HERE, (), 1))
    timings.path.parent.mkdir()
    timings.path.write_text(content)
    again = Timings(tmp_path, machine(HERE, (), 1))
    assert again.rows == {}
    again.add({"a": Timing(1.0)})
    assert json.loads(timings.path.read_text())["rows"]["a"]["fixed"] == 1.0


def test_a_latency_session_takes_what_its_cells_take(tmp_path: Path) -> None:
    found = suite("measures: [{name: latency, options: {seconds: 3, batch_sizes: [1, 64], threads: [1]}}]")
    known = estimates(tmp_path, found)
    job = LatencyJob(known.place, tuple(list(found.runs())[:2]), found.measures[0].options)
    assert known.of(job) == pytest.approx(2 * 2 * 2 * 3, rel=0.2)


def test_workers_take_the_next_job_when_they_are_free() -> None:
    assert packed([4, 1, 1, 1, 1], 2) == 4
    assert packed([1] * 5, 2) == 3
    assert packed([1], 8) == 1
