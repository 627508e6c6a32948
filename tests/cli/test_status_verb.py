"""`fusionbench status`: what is shown of a suite that others work on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fusionbench.cli.main import main
from fusionbench.plan.load import load_suite
from fusionbench.records.record import Record
from fusionbench.records.store import Store

TEXT = "{name: mine, datasets: [digits], strategies: [concat, late], seeds: 30}"


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    (tmp_path / "results").mkdir()
    return str(path)


def words(suite: str, *more: str) -> list[str]:
    return ["status", suite, "--results", str(Path(suite).parent / "results"), *more]


def store_of(suite: str) -> Store:
    return Store(Path(suite).parent / "results", "mine")


def claim(suite: str, number: int, **facts: object) -> None:
    lock = store_of(suite).path(list(load_suite(suite).runs())[number], ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"host": "node7", "pid": 7, **facts}))


def fail(suite: str, *numbers: int, reason: str) -> None:
    runs, store = list(load_suite(suite).runs()), store_of(suite)
    for number in numbers:
        assert store.publish(Record(runs[number].key, runs[number].to_json(), "failed", reason))


def test_the_text_shows_where_runs_are_and_groups_failures_by_reason(
    suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(suite, 0, worker=4711, done=12, total=20, ran_s=60.0, left_s=40.0)
    fail(suite, 1, 3, 5, 7, reason="CUDA out of memory")
    fail(suite, 9, reason="no \x1b[31midea")
    runs, store = list(load_suite(suite).runs()), store_of(suite)
    store.path(runs[9], ".log").write_text("Traceback")
    assert main(words(suite)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("results: 60 runs; 1 running, 5 failed, 54 waiting")
    assert lines[1].startswith("[##............................] 5/60, about ")
    assert lines[2:4] == [
        "running:",
        f"  {runs[0].key}  digits / concat, seed 0  node7, process 4711, epoch 12/20, about 40 s left",
    ]
    assert lines[4:12] == [
        "failed:",
        "  CUDA out of memory (4 runs)",
        *(f"    {runs[number].key}  digits / late, seed {number // 2}" for number in (1, 3, 5)),
        "    and 1 more",
        "  no ?[31midea",
        f"    {runs[9].key}  digits / late, seed 4, its output in {store.path(runs[9], '.log')}",
    ]
    assert lines[12] == f"waiting: 54, the next {runs[2].key}  digits / concat, seed 1"


def test_a_run_that_hung_before_says_which_try_it_is(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    claim(suite, 0, worker=4711, done=12, total=20, ran_s=60.0, left_s=40.0, tries=2)
    fail(suite, 1, reason="hangs: it neither computed nor said anything for 600 s, in each of 3 tries")
    assert main(words(suite)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("node7, process 4711, epoch 12/20, about 40 s left, try 2, it hung before")
    assert lines[5] == "  hangs: it neither computed nor said anything for 600 s, in each of 3 tries"
    assert main(words(suite, "--format", "json")) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["running"]["tries"] == 2


def test_the_json_has_every_run(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    claim(suite, 0, worker=4711, done=12, total=20, ran_s=60.0, left_s=40.0)
    fail(suite, 1, reason="no idea")
    assert main(words(suite, "--format", "json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"running": 1, "failed": 1, "waiting": 58}
    assert len(found["runs"]) == 60
    assert found["runs"][0]["running"].items() >= {"host": "node7", "pid": 4711, "done": 12, "left_s": 40.0}.items()
    assert {"status": "failed", "reason": "no idea", "strategy": "late"}.items() <= found["runs"][1].items()
    assert found["work_s"] == 40 + 58 * 100
    assert found["left_s"] == found["work_s"]
    assert found["estimated_end"] > found["at"]


def test_a_session_and_measures_that_are_being_taken_are_shown(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    fail(suite, *range(60), reason="no idea")
    folder = store_of(suite).folder(load_suite(suite).datasets[0]) / "latency"
    folder.mkdir()
    (folder / "session.lock").write_text(json.dumps({"host": "node7", "pid": 7, "done": 3, "total": 12}))
    assert main(words(suite)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(" 60/60, time left not known")
    assert lines[2:4] == ["timing (latency sessions):", "  digits  node7, process 7, cell 3/12"]


def test_watching_looks_again_until_nothing_is_left(
    suite: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(seconds: float) -> None:
        assert seconds == 2.5
        fail(suite, *range(60), reason="no idea")

    monkeypatch.setattr("fusionbench.cli.status.time.sleep", pause)
    assert main(words(suite, "--watch", "2.5", "--format", "json")) == 0
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["counts"] for found in looks] == [{"waiting": 60}, {"failed": 60}]
    assert main(words(suite, "--watch")) == 0  # Nothing is left, so that it looks once.
    assert "nothing left to do" in capsys.readouterr().out


def test_watching_ends_by_ctrl_c_as_a_matter_of_course(
    suite: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fusionbench.cli.status.time.sleep", interrupt)
    assert main(words(suite, "--watch")) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--watch", "0"], "--watch 0: give the seconds between two looks, above 0"),
        (["--watch", "nan"], "--watch nan: give the seconds between two looks, above 0"),
        (["--results", "nowhere"], "nowhere: no such folder; name the one that holds the records with --results"),
    ],
)
def test_what_cannot_be_is_one_line(suite: str, capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    assert main(words(suite, *more)) == 2
    assert capsys.readouterr().err == f"fusionbench: {said}\n"


def test_status_loads_neither_torch_nor_pandas(suite: str) -> None:
    code = (
        "import sys\nfrom fusionbench.cli.main import main\n"
        f"assert main({words(suite)!r}) == 0\n"
        "print([name for name in ('torch', 'lightning', 'pandas', 'scipy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
