"""Within a job's limit: no run begins that could not end, and a job with nothing to do does not wait."""

from __future__ import annotations

import shutil
import zipfile
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
from fusionbench.engines.slurm_job import SuiteJob, Worker
from fusionbench.engines.staging import staged
from fusionbench.plan.suite import RunSpec
from fusionbench.records.checkpoints import CHECKPOINT, kept_seconds, say_seconds
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


def kept(store: Store, run: RunSpec, seconds: float) -> Path:
    """A checkpoint of a run that has trained for so long."""
    path = store.path(run, CHECKPOINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
    with path.open("r+b") as file:
        say_seconds(file, seconds)
    return path


def test_a_run_that_goes_on_from_a_checkpoint_needs_the_rest_only(bench: Bench) -> None:
    suite, runs = planned(bench.suite(strategies=["concat"], seeds=3))
    store = Store(bench.folder / "results", "tiny")
    place = Work(suite, runs, bench.folder / "results", bench.data).place()
    jobs = [TrainJob(place, run, ()) for run in runs]
    took(store, runs[0], 160)  # With the margin 200 s.
    deadline = JobDeadline(100.0, clock=lambda: 0.0, cost=RowTimes(store, runs).of)
    path = kept(store, runs[1], 99.5)
    assert deadline.expected(jobs[1]) == 100.5
    assert not deadline.admits(jobs[1])
    kept(store, runs[1], 100.5)
    assert deadline.admits(jobs[1])
    assert not deadline.admits(jobs[2])
    path.write_bytes(path.read_bytes()[:-40])  # A file that is cut promises nothing.
    assert not deadline.admits(jobs[1])
    kept(store, runs[1], 1000.0)  # A slower machine's.
    assert deadline.expected(jobs[1]) == 0.0


@pytest.mark.parametrize(
    "said", ["trained for nan", "trained for inf", "trained for -5", "trained for ever", "other", ""]
)
def test_a_comment_that_is_no_time_says_nothing(tmp_path: Path, said: str) -> None:
    path = tmp_path / "0123456789ab.checkpoint"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
        archive.comment = said.encode()
    assert kept_seconds(path) == 0.0
    assert kept_seconds(tmp_path / "none") == 0.0


def test_a_job_that_ends_no_run_but_brings_one_further_gets_on(bench: Bench) -> None:
    suite, runs = planned(bench.suite(strategies=["concat"], seeds=2))
    place = Work(suite, runs, bench.folder / "results", bench.data).place()
    store = Store(bench.folder / "results", "tiny")
    job = SuiteJob(suite, runs, place, {}, 1, 1, 1, False, None, (), str(bench.folder), ())

    def gets_on_with(seconds: float) -> bool:
        worker = Worker(job, 0.0, 1000.0)
        kept(store, runs[0], seconds)
        return worker.gets_on()

    assert gets_on_with(300.0)
    assert gets_on_with(301.0)
    assert not gets_on_with(301.0)  # The job was ended before it kept more.
    assert not gets_on_with(200.0)  # It had to start again: what was kept was of no use.
    took(store, runs[1], 960)  # 1200 s with the margin, of which 910 fit.
    assert gets_on_with(300.0)
    assert not gets_on_with(280.0)


def test_a_job_that_is_warned_between_a_record_and_its_workers_word_gets_on(bench: Bench) -> None:
    suite, runs = planned(bench.suite(strategies=["concat"], seeds=2))
    place = Work(suite, runs, bench.folder / "results", bench.data).place()
    worker = Worker(SuiteJob(suite, runs, place, {}, 1, 1, 1, False, None, (), str(bench.folder), ()), 0.0, 1000.0)
    assert not worker.gets_on()
    took(Store(bench.folder / "results", "tiny"), runs[0], 60)
    assert worker.gets_on()


def test_what_a_run_trained_before_it_went_on_counts(bench: Bench) -> None:
    _, runs = planned(bench.suite(strategies=["concat"], seeds=2))
    store = Store(bench.folder / "results", "tiny")
    took(store, runs[0], 60)
    record = store.read(runs[0])
    assert record is not None
    store.path(runs[0]).unlink()
    store.publish(replace(record, train_seconds=3000.0))  # Its last part took a minute.
    assert store.glance(runs[0]).seconds == 3000.0
    assert RowTimes(store, runs).of_run(runs[1]) == 3750.0


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
