"""What is sent while a suite runs, and that nothing of it holds training up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from published_suite import Published, made_up
from small_suites import NUMBERS, OWN_STRATEGIES, Bench
from tracking_server import Server, serving
from wandb_files import read_all

from fusionbench.api.progress import LineWatcher
from fusionbench.bench.jobs import LatencyJob, Place
from fusionbench.cli.feeding import FedWatcher
from fusionbench.publish.live import LENGTH, Feed, ended, epoch

KEY = "a" * 40
SCORES = {"validation/accuracy": 0.5, "train/loss": 1.25}


@pytest.fixture(autouse=True)
def usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine at work, a process that gives way to all others would take minutes."""
    code = "from fusionbench.publish import feed; feed.PRIORITY = 0; feed.main()"
    monkeypatch.setattr("fusionbench.publish.live.COMMAND", (sys.executable, "-P", "-c", code))


def until(true: Callable[[], bool]) -> None:
    """Wait for it; pytest ends a test that waits too long."""
    while not true():
        time.sleep(0.05)


def history_of(server: Server, run: str) -> list[dict[str, float]]:
    lines = server.streams.get(run, {}).get("wandb-history.jsonl", [])
    return [json.loads(line) for line in lines]


def summary_of(server: Server, run: str) -> dict[str, object]:
    lines = server.streams.get(run, {}).get("wandb-summary.json", [])
    found: dict[str, object] = json.loads(lines[-1]) if lines else {}
    return found


def first_words(made: Published, *, live: bool) -> dict[str, object]:
    place = {"suite": str(made.folder / "tiny.yaml"), "set": [], "results": str(made.folder / "results")}
    return {**place, "project": "mine", "entity": "", "live": live, "host": "ab12"}


def test_epochs_and_the_use_of_devices_come_while_the_run_lasts_and_then_the_record_in_their_place(
    made: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run = made.runs[0]
    name = f"tiny-{run.key}"
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        feed = Feed(first_words(made, live=True))
        feed.tell(epoch(run, 0, {"pid": 1}))
        feed.tell(epoch(run, 1, SCORES))
        feed.tell(epoch(run, 2, {**SCORES, "train/loss": 1.0}))
        until(lambda: len(history_of(server, name)) == 2)
        assert [(row["_step"], row["train/loss"]) for row in history_of(server, name)] == [(1, 1.25), (2, 1.0)]
        until(lambda: any("system." in line for line in server.streams[name].get("wandb-events.jsonl", [])))
        assert "status" not in summary_of(server, name)
        feed.tell(ended(run))
        until(lambda: "status" in summary_of(server, name))
        feed.close()
    record = made.record(run)
    assert {score: summary_of(server, name)[score] for score in record.scores} == record.scores
    assert [row["train/loss"] for row in history_of(server, name)] == record.curves["train/loss"]
    assert set(server.ids) == {name}
    assert set(server.projects) == {("me", "mine")}
    assert list(made.wandb.glob("*run-*")) == []
    assert not [path for path in server.uploads if "metadata" in path]  # Nothing of the machine but a record's hash.


def test_a_record_goes_when_it_is_published_and_not_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    body = "import pathlib, time\n        while not pathlib.Path(r'{}').exists(): time.sleep(0.05)\n        {}"
    monkeypatch.setitem(OWN_STRATEGIES, "waits", body.format(tmp_path / "sent", OWN_STRATEGIES["works"]))
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path, tmp_path / "data", f"fed{next(NUMBERS)}")
    suite = bench.suite(strategies=["concat", *bench.own("waits")], seeds=1)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)

        def let_go() -> None:
            until(lambda: bool(server.ids))
            (tmp_path / "sent").touch()

        Thread(target=let_go, daemon=True).start()
        assert bench.run(suite, "--wandb", "online") == 0  # It would wait for ever if nothing came before the end.
        assert len(server.ids) == 2
    assert "were there already" in capfd.readouterr().out


def test_a_server_that_hangs_holds_no_training_up_and_the_end_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "1")
    monkeypatch.setattr("fusionbench.publish.live.GRACE_S", 1.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path, tmp_path / "data", f"fed{next(NUMBERS)}")
    with serving(hangs="graphql") as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert bench.run(bench.suite(), "--wandb", "online", "--wandb-live") == 0
        assert [record["status"] for record in bench.records().values()] == ["done"] * 4
        assert server.ids == []
    shown = capfd.readouterr()
    assert shown.out.splitlines()[-1] == "tiny: 4 done"
    assert shown.err.count("\n") == 1
    assert all(part in shown.err for part in ("0 of 4 runs sent, 4 kept as files", "go on with: fusionbench push"))
    assert len(read_all(tmp_path / "results" / "tiny" / "wandb")) == 4


def test_telling_never_waits_for_a_process_that_does_not_listen(made: Published) -> None:
    feed = Feed({}, command=[sys.executable, "-c", "import time; time.sleep(3600)"])
    for number in range(20 * LENGTH):
        feed.tell(epoch(made.runs[0], number, SCORES))
    assert feed.dropped > 0
    feed.close(0.0)
    assert feed._process.returncode != 0


def test_a_process_that_is_gone_is_no_error(made: Published) -> None:
    feed = Feed({}, command=[sys.executable, "-c", ""])
    feed._process.wait()
    for number in range(3 * LENGTH):
        feed.tell(epoch(made.runs[0], number, SCORES))
    feed.close(0.0)
    assert feed._process.returncode == 0


def test_trials_and_runs_of_others_are_not_sent(made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        feed = Feed(first_words(made, live=True))
        trial = replace(made.runs[0], role="trial")
        feed.tell(epoch(trial, 1, SCORES))
        feed.tell(ended(trial))
        feed.tell(ended(made.runs[1]))
        until(lambda: bool(server.ids))
        feed.close()
        assert server.ids == [f"tiny-{made.runs[1].key}"]


def test_epochs_without_a_server_are_wrong_use(made: Published, capfd: pytest.CaptureFixture[str]) -> None:
    made.store.publish(made_up(made.runs[0]))
    assert made.call("run", "--wandb-live") == 2
    assert "--wandb online" in capfd.readouterr().err


def test_nothing_is_sent_while_models_are_timed(made: Published) -> None:
    shown = LineWatcher(1, 0, lambda _: None)
    listening = [sys.executable, "-c", "import sys; sys.stdin.read(); import time; time.sleep(3600)"]
    with FedWatcher(shown, {}, is_heard=False) as watcher:
        watcher.feed = Feed({}, command=listening)
        job = LatencyJob(Place(made.folder, "tiny", None, 1, {}), tuple(made.runs), {})
        watcher.started(job)
        assert watcher.feed._process.poll() is not None
