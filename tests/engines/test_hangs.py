"""What hangs is ended, with a reason: by its time limit, by its silence, or with the process of its group that died."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from small_suites import Bench

from fusionbench.bench.jobs import Message, Place, PrepareJob, Report, TrainJob
from fusionbench.core import locks
from fusionbench.engines.heartbeat import Heartbeat
from fusionbench.engines.logs import LINES, STACK_LINES, told_last
from fusionbench.engines.watch import STEP_S, Watch
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source
from fusionbench.records.status import SuiteFolder
from fusionbench.records.store import Store

SMALL = {"image": {"name": "mlp", "options": {"width": 16}}}
SOON = ("--silent-after", "1")


def by_name(bench: Bench) -> dict[str, dict[str, Any]]:
    """Records by the last word of their strategy's name."""
    return {record["spec"]["strategy"]["name"].rpartition(".")[2]: record for record in bench.records().values()}


def left_behind(bench: Bench) -> list[Path]:
    return [path for kind in ("*.lock", ".*.tmp") for path in (bench.folder / "results").rglob(kind)]


def test_a_run_that_takes_too_long_fails_by_its_limit_and_the_others_are_done(bench: Bench) -> None:
    names = bench.own("hangs", "computes_for_ever")
    suite = bench.suite(strategies=[*names, "concat"], seeds=1, budget={"epochs": 1, "time_limit": "5s"})
    assert bench.run(suite) == 1
    found = by_name(bench)
    assert found["concat"]["status"] == "done"
    assert "log" not in found["concat"]
    for name in ("hangs", "computes_for_ever"):
        assert found[name]["status"] == "failed"
        assert found[name]["reason"] == "not done within its time limit of 5 s (budget.time_limit)"
        assert any(line.startswith("File ") and f"{name}.py" in line for line in found[name]["log"])
    assert found["hangs"]["log"][0] == "here I stay"
    assert left_behind(bench) == []
    assert {run.key for run in load_suite(bench.suite(strategies=[*names, "concat"], seeds=1)).runs()} == set(
        bench.records()
    )


def test_a_worker_that_falls_silent_is_tried_again_twice_and_status_shows_it(bench: Bench) -> None:
    suite = bench.suite(strategies=bench.own("hangs"), seeds=1)
    runs = list(load_suite(suite).runs())
    process = bench.start(suite, "--workers", "1", "--silent-after", "4")
    store = Store(bench.folder / "results", "tiny", read_only=True)
    seen = set()
    while process.poll() is None:
        seen |= {one.working.tries for one in SuiteFolder(runs, store).look().standings if one.working}
        time.sleep(0.05)
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert seen & {2, 3}  # Claims say it within two seconds, and each try lasts for four at least.
    assert output.count("hangs: it neither computed nor said anything for 4 s; it is ended and tried again") == 1
    assert output.count("in each of 2 tries; it is ended and tried again") == 1
    (record,) = bench.records().values()
    assert record["reason"] == "hangs: it neither computed nor said anything for 4 s, in each of 3 tries"
    assert record["log"][0] == "here I stay"
    assert any("hangs.py" in line for line in record["log"])
    assert left_behind(bench) == []


def test_one_that_hangs_once_is_done_by_the_next_try(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(bench.suite(strategies=bench.own("hangs_once"), seeds=1), "--silent-after", "2") == 0
    assert capsys.readouterr().err.count("it is ended and tried again") >= 1
    (record,) = bench.records().values()
    assert record["status"] == "done"
    assert list((bench.folder / "results").rglob("*.log")) == []


def test_a_process_that_dies_has_a_reason_and_its_last_words(bench: Bench) -> None:
    assert bench.run(bench.suite(strategies=bench.own("exits", "dies"), seeds=1)) == 1
    found = by_name(bench)
    assert found["exits"]["reason"] == "its process ended with exit code 3"
    assert found["exits"]["log"] == ["so far so good"]
    assert found["dies"]["reason"] == "its process was ended by SIGKILL (out of memory?)"


def test_one_process_of_two_that_dies_or_hangs_takes_the_other_with_it(bench: Bench) -> None:
    names = bench.own("second_exits", "second_hangs")
    suite = bench.suite(strategies=names, seeds=1, encoders=SMALL)
    # Gloo itself would wait for two hours, longer than a test may take.
    assert bench.run(suite, "--workers", "1", "--devices", "2", *SOON) == 1
    found = by_name(bench)
    assert found["second_exits"]["reason"] == "device 1 of 2: its process ended with exit code 0"
    assert found["second_hangs"]["reason"].endswith("for 1 s, in each of 3 tries")
    assert {record["devices"] for record in found.values()} == {2}
    assert left_behind(bench) == []


@pytest.mark.parametrize("words", [("--silent-after", "0"), ("--silent-after", "nan"), ("--silent-after", "-1")])
def test_no_time_at_all_to_be_silent_is_refused(
    words: tuple[str, ...], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(bench.suite(), *words) == 2
    assert "silent_after (--silent-after): give seconds above 0" in capsys.readouterr().err


# --- by a clock that the test turns --------------------------------------------------------------------------------


def train_job(time_limit: float = 0.0, silent_after: float = 60.0) -> TrainJob:
    suite = suite_of(parse_source("{name: s, datasets: [digits], strategies: [concat], seeds: 1}", "s"))
    place = Place(Path("r"), "s", None, 1, {}, silent_after=silent_after)
    return TrainJob(place, next(suite.runs()), (), time_limit=time_limit)


def watched(job: Any) -> tuple[Watch, list[float]]:
    now = [100.0]
    return Watch(job, lambda: now[0]), now


def passes(watch: Watch, now: list[float], seconds: int) -> str:
    """What it says after so many seconds, looked at each second."""
    for _ in range(seconds):
        now[0] += 1
        watch.look()
    return watch.look()


def test_silence_counts_from_the_last_word_and_the_limit_from_the_start() -> None:
    watch, now = watched(train_job(time_limit=100))
    assert passes(watch, now, 60) == ""
    watch.heard()
    assert passes(watch, now, 40) == ""
    assert passes(watch, now, 1) == "not done within its time limit of 100 s (budget.time_limit)"
    assert not watch.may_try_again


def test_the_limit_is_that_of_all_tries_together() -> None:
    watch, now = watched(train_job(time_limit=150))
    for tries in (1, 2):
        assert passes(watch, now, 61).startswith("hangs: ")
        assert watch.may_try_again
        watch.again()
        assert watch.tries == tries + 1
    assert passes(watch, now, 29) == "not done within its time limit of 150 s (budget.time_limit), in 3 tries"


def test_there_are_three_tries() -> None:
    watch, now = watched(train_job())
    for _ in range(2):
        passes(watch, now, 61)
        watch.again()
    assert passes(watch, now, 61).endswith("in each of 3 tries")
    assert not watch.may_try_again


def test_time_in_which_the_launcher_itself_was_stopped_does_not_count() -> None:
    watch, now = watched(train_job(time_limit=60))
    now[0] += 100_000
    assert watch.look() == ""
    assert watch.worked == STEP_S
    assert passes(watch, now, 51).startswith("not done")


def test_who_prepares_may_wait_for_a_slow_server() -> None:
    job = train_job()
    watch, now = watched(PrepareJob(job.place, (job.run,)))
    assert passes(watch, now, 5000) == ""


class Heard(Report):
    """Counts what is sent."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def send(self, message: Message) -> None:
        self.kinds.append(message.kind)


def beats(used: Any, seconds: float = 0.3) -> int:
    """How many beats there are in a moment of a process that has used its processor as is said."""
    report = Heard()
    Heartbeat(report, 0.04, used).start()
    time.sleep(seconds)
    assert set(report.kinds) <= {"beat"}
    return len(report.kinds)


def test_who_computes_beats_and_who_waits_for_nothing_does_not() -> None:
    assert beats(time.monotonic) > 0
    assert beats(lambda: 7.0) == 0


def test_who_waits_for_another_process_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "last_wait_s", time.monotonic() + 1000)
    assert beats(lambda: 7.0) > 0


def test_the_end_of_a_log_is_short_plain_and_names_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    log = tmp_path / "x.log"
    said = [f"line {number} \x1b[31m of /home/somebody/x.py {'y' * 300}" for number in range(100)]
    log.write_text("\n".join(said) + "\n\n")
    found = told_last(log)
    assert len(found) == LINES
    assert found[-1].startswith("line 99 ?[31m of ~/x.py yyy")
    assert max(map(len, found)) == 200
    stack_at = log.stat().st_size
    log.write_bytes(log.read_bytes() + b"Stack:\n" + b"".join(b"  call %d\n" % number for number in range(50)))
    found = told_last(log, stack_at)
    assert found[-STACK_LINES:] == ["Stack:", *(f"call {number}" for number in range(STACK_LINES - 1))]
    assert found[-STACK_LINES - 1].startswith("line 99")
    assert told_last(tmp_path / "none.log") == told_last(None) == []
