"""W&B's own files and a server, read back: what is there is what the records say, once, whatever went wrong before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from published_suite import STATUSES, Published, made_up, timed
from tracking_server import serving
from wandb_files import read_all

from fusionbench.cli.main import main
from fusionbench.publish import sending

KEY = "a" * 40


def test_an_offline_run_reads_back_as_its_record(made: Published) -> None:
    timed(made, 0.25, "2026-01-01")
    assert made.call("push", "--wandb", "offline") == 0
    sent = read_all(made.wandb)
    assert sorted(sent) == sorted(f"tiny-{run.key}" for run in made.runs)
    record = made.record(made.runs[0])
    (run,) = sent[f"tiny-{record.key}"]
    assert (run.project, run.group, run.host) == ("fusionbench", "tiny/digits/same_encoders", "ab12")
    assert (run.job_type, run.name) == ("concat", "concat seed 0")
    assert run.tags == ["digits", "concat", "same_encoders", "final", "done"]
    assert run.config["budget.learning_rate"] == 1e-3
    assert {name: run.summary[name] for name in record.scores} == record.scores
    assert {name: run.summary[name] for name in record.validation} == record.validation
    assert run.summary["size/flops_per_sample"] == 0.1 + 0.2
    assert run.summary["latency/fusion/batch_1/threads_1/median_ms"] == 0.25
    assert [row.pop("_step") for row in run.history] == [1, 2, 3]
    assert {name: [row[name] for row in run.history] for name in record.curves} == record.curves


def test_runs_that_failed_are_there_with_their_status_and_reason(made: Published) -> None:
    assert made.call("push", "--wandb", "offline") == 0
    sent = read_all(made.wandb)
    for run, status, code in zip(made.runs, STATUSES, (0, 1, 1, 0), strict=True):
        (found,) = sent[f"tiny-{run.key}"]
        assert (found.summary["status"], found.exit_code) == (status, code)
        assert found.summary["reason"] == made.record(run).reason


def test_a_run_longer_than_a_block_of_the_file_keeps_every_epoch(made: Published) -> None:
    loss = [1 / (epoch + 3) for epoch in range(400)]
    made.store.publish(replace(made_up(made.runs[1]), curves={"train/loss": loss}))
    assert made.call("push", "--wandb", "offline") == 0
    (run,) = read_all(made.wandb)[f"tiny-{made.runs[1].key}"]
    assert [row["train/loss"] for row in run.history] == loss


def test_twice_is_once(made: Published, capfd: pytest.CaptureFixture[str]) -> None:
    assert made.call("push", "--wandb", "offline") == 0
    before = sorted(made.wandb.iterdir())
    assert "4 runs written;" in capfd.readouterr().out
    assert made.call("push", "--wandb", "offline") == 0
    shown = capfd.readouterr()
    assert shown.out.count("\n") == 1
    assert "0 runs written, 4 were there already" in shown.out
    assert shown.err == ""
    assert sorted(made.wandb.iterdir()) == before


def test_a_record_that_was_done_again_takes_the_place_of_what_was_sent(made: Published) -> None:
    made.call("push", "--wandb", "offline")
    made.store.publish(made_up(made.runs[2], "done", 7))
    made.call("push", "--wandb", "offline")
    sent = read_all(made.wandb)
    assert [len(runs) for runs in sent.values()] == [1, 1, 1, 1]
    (run,) = sent[f"tiny-{made.runs[2].key}"]
    assert (run.summary["status"], run.summary["test/accuracy"]) == ("done", 8 / 3)


def test_wandbs_own_files_are_no_records(made: Published) -> None:
    made.call("push", "--wandb", "offline")
    (made.wandb / "wandb-summary.json").write_text("{}")
    assert main(["check", str(made.folder / "results")]) == 0


KILLED = """
import os, signal, sys
import wandb
from fusionbench.cli.main import main
finish, count = wandb.Run.finish, 0
def killed(run, exit_code=None):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(run, exit_code)
wandb.Run.finish = killed
main(sys.argv[1:])
"""


def test_a_killed_upload_leaves_the_records_and_push_finishes_the_job(made: Published) -> None:
    before = made.records()
    words = made.words("push", "--wandb", "offline")
    done = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert len(list(made.store.root.rglob("*/*/*.wandb"))) - len(list(made.wandb.glob("*/*.wandb"))) == 2
    assert made.call("push", "--wandb", "offline") == 0
    sent = read_all(made.wandb)
    assert sorted(sent) == sorted(f"tiny-{run.key}" for run in made.runs)
    assert all(len(runs) == 1 and runs[0].exit_code is not None for runs in sent.values())
    assert made.records() == before


def test_without_a_key_push_fails_and_a_finished_run_only_says_how_to_go_on(
    made: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    assert made.call("push") == 2
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert all(part in shown for part in ("WANDB_API_KEY", "wandb login", "0 of 4 runs sent, 4 kept as files in"))
    assert shown.endswith("; the same command goes on with what is left\n")
    assert len(read_all(made.wandb)) == 4
    for number, run in enumerate(made.runs):
        made.store.publish(made_up(run, "done", number))
        made.store.publish_measure(run, "size", {"fusion_parameters": 1})
    before = made.records()
    assert made.call("run", "--wandb", "online") == 0
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert "the records are safe, go on with: fusionbench push" in shown
    assert made.records() == before


def test_without_a_network_one_line_says_so_and_what_was_written_offline_stays(
    made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made.call("push", "--wandb", "offline")
    before = sorted(made.wandb.glob("offline-run-*"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "1")
    capfd.readouterr()
    assert made.call("push") == 2
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert "no answer from http://127.0.0.1:9 in 1 s (0 of 4 runs sent, 4 kept as files in" in shown
    assert sorted(made.wandb.glob("offline-run-*")) == before


def test_a_server_gets_every_run_once_and_whole(
    made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    made.call("push", "--wandb", "offline")
    capfd.readouterr()
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert made.call("push") == 0
        ids = list(server.ids)
        assert made.call("push") == 0
        assert server.ids == ids
    assert capfd.readouterr().err == ""
    assert set(ids) == {f"tiny-{run.key}" for run in made.runs}
    record = made.record(made.runs[0])
    summary = json.loads(server.streams[f"tiny-{record.key}"]["wandb-summary.json"][-1])
    assert {name: summary[name] for name in record.scores | record.validation} == record.scores | record.validation
    assert list(made.wandb.glob("*run-*")) == []  # An older copy here could be uploaded over it one day.


def test_a_run_is_sent_once_to_each_project_entity_and_account(
    made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server, serving() as another:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        sent = []
        for words in ([], ["--wandb-project", "mine"], ["--wandb-entity", "us"], [], ["--wandb-entity", "us"]):
            assert made.call("push", "--only", "seed=0", *words) == 0
            sent.append(len(server.ids))
        assert sent == [2, 4, 6, 6, 6]
        assert server.projects == [*2 * [("me", "fusionbench")], *2 * [("me", "mine")], *2 * [("us", "fusionbench")]]
        monkeypatch.setenv("WANDB_BASE_URL", another.url)
        assert made.call("push", "--only", "seed=0") == 0
        assert len(another.ids) == 2
    assert KEY not in "".join(path.read_text() for path in made.store.root.rglob("*.wandb"))


def test_many_go_in_batches(made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(sending, "BATCH", 3)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert made.call("push") == 0
        assert sorted(server.ids) == sorted(f"tiny-{run.key}" for run in made.runs)


def test_a_server_that_stops_answering_is_given_up_and_the_rest_is_kept(
    made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(sending, "RUN_S", 2)
    with serving(hangs="file_stream") as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert made.call("push") == 2
        shown = capfd.readouterr().err
        assert shown.count("\n") == 1
        assert "nothing went through in 2 s (0 of 4 runs sent, 4 kept as files in" in shown
        server.hangs = ""
        monkeypatch.setattr(sending, "RUN_S", 60)
        assert made.call("push") == 0
        assert set(server.ids) == {f"tiny-{run.key}" for run in made.runs}


@pytest.mark.parametrize("call", ["graphql", "file_stream"])
def test_a_server_that_refuses_leaves_the_run_to_be_sent(
    call: str, made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving(refuses=call) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert made.call("push") == 2
        shown = capfd.readouterr().err
        assert shown.count("\n") == 1
        assert "0 of 4" in shown
        server.refuses = ""
        assert made.call("push") == 0
        assert set(server.ids) == {f"tiny-{run.key}" for run in made.runs}


def test_a_project_name_that_wandb_refuses_is_wrong_use_before_anything_runs(
    made: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        made.call("run", "--wandb", "offline", "--wandb-project", "a/b")
    assert stop.value.code == 2
    assert "a/b" in capfd.readouterr().err


def test_two_pushes_at_once_do_not_mix(
    made: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sending, "WAIT_S", 0.1)
    with sending.alone(made.store):
        assert made.call("push", "--wandb", "offline") == 2
    assert "another push" in capfd.readouterr().err
    assert read_all(made.wandb) == {}


def test_a_suite_without_records_has_nothing_to_send(made: Published, capfd: pytest.CaptureFixture[str]) -> None:
    assert made.call("push", "--wandb", "offline", "--set", "budget.epochs=4") == 0
    assert re.search(r"4 have no record yet; `fusionbench run \S+` makes them", capfd.readouterr().out)
    assert not made.wandb.exists()


def test_pushing_imports_no_torch() -> None:
    code = "import sys\nimport fusionbench.publish.sending, fusionbench.cli.publishing\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
