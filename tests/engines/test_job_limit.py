"""Within a job's limit: no run begins that could not end, and a job with nothing to do does not wait."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.api.work import Work, planned
from fusionbench.bench.jobs import Job, Message, TrainJob
from fusionbench.core.errors import UserError
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.job_limit import JobDeadline, LimitedPool, RowTimes
from fusionbench.engines.seen import KnownStore
from fusionbench.engines.staging import staged
from fusionbench.plan.suite import RunSpec
from fusionbench.records.claims import Claims
from fusionbench.records.record import DataFacts, Record, Status
from fusionbench.records.store import Store


class Quiet:
    """A watcher."""

    def started(self, job: Job) -> None: ...
    def progress(self, job: Job, message: Message) -> None: ...
    def ended(self, job: Job, message: Message) -> None: ...
    def waiting(self, count: int, holder: str) -> None: ...
    def more(self, count: int) -> None: ...
    def told(self, line: str) -> None: ...


def took(store: Store, run: RunSpec, seconds: int, status: Status = "done") -> None:
    """A record of a run that lasted so long, or failed then."""
    times = ("2026-01-01T00:00:00.000+00:00", f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.000+00:00")
    record = Record(run.key, run.to_json(), status, started=times[0], finished=times[1])
    data = DataFacts("digits", "0" * 64, "0" * 64, {"train": 1, "validation": 1, "test": 1})
    done = replace(record, scores={"test/accuracy": 0.5}, data=data, test_evaluations=1)
    store.publish(done if status == "done" else replace(record, reason="no idea"))


def test_a_run_is_expected_to_last_as_long_as_the_longest_of_its_row(bench: Bench) -> None:
    suite, runs = planned(bench.suite(seeds=4))
    store = Store(bench.folder / "results", "tiny")
    place = Work(suite, runs, bench.folder / "results", bench.data).place()
    concat = [TrainJob(place, run, ()) for run in runs if run.strategy.name == "concat"]
    late = [TrainJob(place, run, ()) for run in runs if run.strategy.name == "late"]
    deadline = JobDeadline(100.0, clock=lambda: 0.0, cost=RowTimes(store, runs).of)
    assert deadline.admits(concat[3])  # Nothing is known.
    took(store, concat[0].run, 60)
    assert deadline.admits(concat[3])  # 75 seconds with the margin.
    took(store, concat[1].run, 81)
    took(store, concat[2].run, 300, "failed")  # Says nothing of those that go well.
    assert not deadline.admits(concat[3])
    assert deadline.admits(late[3])


def test_a_pool_begins_nothing_that_could_not_end_and_waits_for_no_other(bench: Bench) -> None:
    suite, runs = planned(bench.suite(strategies=["concat"], seeds=3))
    store = KnownStore(bench.folder / "results", "tiny")
    took(store, runs[0], 9)
    place = Work(suite, runs, bench.folder / "results", bench.data).place()
    jobs = [TrainJob(place, run, ()) for run in runs]
    others = Claims()
    assert others.take(store.path(runs[1], ".lock"))
    deadline = JobDeadline(10.0, clock=lambda: 0.0, cost=RowTimes(store, runs).of)
    assert LimitedPool(1, Quiet()).run(jobs[1:], JobFiles(store), deadline) == []
    assert deadline.has_refused
    assert LimitedPool(1, Quiet()).run(jobs[1:2], JobFiles(store)) == []
    others.release_all()


def test_old_records_are_to_be_done_again_until_others_lie_there(bench: Bench) -> None:
    _, runs = planned(bench.suite(strategies=["concat"], seeds=1))
    store = KnownStore(bench.folder / "results", "tiny")
    took(store, runs[0], 5, "failed")
    assert not store.is_wanted(runs[0])
    store.old = {runs[0].key: "2026-01-01T00:00:05.000+00:00"}
    assert store.is_wanted(runs[0])
    took(store, runs[0], 6, "failed")
    assert not store.is_wanted(runs[0])


def test_staged_data_are_copies_and_the_rest_are_links(bench: Bench, tmp_path: Path) -> None:
    root, disk = tmp_path / "data", tmp_path / "disk"
    assert bench.run(bench.suite(strategies=["concat"], seeds=1)) == 0
    shutil.copytree(bench.data / "prepared", root / "prepared")
    (root / "sources").mkdir()
    (one,) = (root / "prepared").glob("digits-*/manifest.json")
    fingerprint = Store(bench.folder / "results", "tiny").read(
        planned(bench.suite(strategies=["concat"], seeds=1))[1][0]
    )
    assert fingerprint is not None
    assert fingerprint.data is not None
    local = staged(root, disk, [fingerprint.data.fingerprint])
    assert (local / "sources").readlink() == root / "sources"
    copied = local / "prepared" / one.parent.name
    assert not copied.is_symlink()
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {
        path.name: path.read_bytes() for path in one.parent.iterdir()
    }
    (copied / "targets.npy").write_bytes(b"cut")
    (copied / "manifest.json").unlink()  # Killed while it copied.
    assert staged(root, disk, [fingerprint.data.fingerprint]) == local
    assert (copied / "targets.npy").stat().st_size > 3
    other = staged(root, tmp_path / "second", [])
    assert (other / "prepared" / one.parent.name).is_symlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--stage .*file"):
        staged(root, tmp_path / "file", [])
