"""How a suite ends where output, folders or people are in the way: nothing done is lost, and words are plain."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.bench.jobs import LatencyJob, MeasureJob, Place, PrepareJob, PretrainJob
from fusionbench.cli.main import main
from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.core.output import never_fail
from fusionbench.engines.job_files import JobFiles
from fusionbench.plan.load import load_suite
from fusionbench.report.front import front_picture

ASCII = (
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
)
NO_HOME = "import pwd\n\n\ndef nobody(uid):\n    raise KeyError(uid)\n\n\npwd.getpwuid = nobody\n"


def command(bench: Bench, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "fusionbench.cli", *words],
        capture_output=True,
        cwd=bench.folder,
        env={**os.environ, **variables},
        check=False,
    )


def test_output_in_ascii_fails_no_run_and_no_table(bench: Bench) -> None:
    (name,) = bench.own("works")
    path = bench.folder / bench.package / "works.py"
    path.write_text(path.read_text().replace("pooled = ", "print('\u00b1 \u4e2d', flush=True); pooled = "))
    suite = bench.suite(strategies=[name, "concat"], seeds=2)
    done = command(bench, *bench.arguments("run", suite, "--workers", "1"), **ASCII[0])
    assert (done.returncode, done.stderr) == (0, b""), done
    assert len(bench.records()) == 4
    for variables in ASCII:
        shown = command(bench, *bench.arguments("report", suite), **variables)
        assert (shown.returncode, shown.stderr) == (0, b""), shown
        assert b" +/- " in shown.stdout or b" \xb1 " in shown.stdout


def test_what_an_encoding_lacks_is_spelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        never_fail()
        print("\u00b1 \u25cf \u2026 \u00e9 \u4e2d a")  # noqa: T201
    assert (tmp_path / "out").read_text() == "+/- * ... e ? a\n"


def test_without_a_home_only_the_data_folder_has_to_be_named(bench: Bench) -> None:
    (bench.folder / "site" / "sitecustomize.py").parent.mkdir()
    (bench.folder / "site" / "sitecustomize.py").write_text(NO_HOME)
    path = os.pathsep.join([str(bench.folder / "site"), *sys.path])
    suite = bench.suite(strategies=["concat"], seeds=1)
    ends = []
    for words in (["run", suite, "--workers", "1"], bench.arguments("run", suite, "--workers", "1")):
        done = subprocess.run(
            [sys.executable, "-m", "fusionbench.cli", *words],
            capture_output=True,
            text=True,
            cwd=bench.folder,
            env={"PYTHONPATH": path, "MPLCONFIGDIR": str(bench.folder)},
            check=False,
        )
        ends.append((done.returncode, done.stderr))
    assert ends[0][0] == 2
    assert ends[0][1].endswith("no home folder is known here; name the data folder with --data\n")
    assert ends[0][1].count("\n") == 1
    assert ends[1] == (0, "")


def test_a_folder_that_may_not_be_written_still_shows_its_tables(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    assert bench.run(suite) == 0

    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("fusionbench.report.write.write_over", refuse)
    for words in ([], ["--format", "csv"], ["--format", "latex"], ["--format", "md"]):
        capsys.readouterr()
        assert main(bench.arguments("report", suite, *words)) == 0
        shown = capsys.readouterr()
        assert "concat" in shown.out.lower()
        assert shown.err.startswith("not written: ")
        assert shown.err.count("\n") == 1
    assert write_over is not refuse


def test_a_picture_that_cannot_be_drawn_costs_no_table(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    assert bench.run(suite) == 0

    def broken(*_: object) -> None:
        raise ValueError("no\nfont")

    monkeypatch.setattr("fusionbench.report.pictures.PICTURES", {"curves": broken, "front": front_picture})
    capsys.readouterr()
    assert main(bench.arguments("report", suite)) == 0
    shown = capsys.readouterr()
    assert shown.err == "Digits: no picture curves (ValueError: no font)\n"
    assert "table.md" in shown.out
    assert "curves.png" not in shown.out
    assert "front.png" in shown.out


@pytest.mark.parametrize("wait_s", [0.8, 2.0, 4.0])
def test_ctrl_c_in_the_first_seconds_is_one_line(bench: Bench, wait_s: float) -> None:
    process = bench.start(bench.suite(seeds=3), "--workers", "2")
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), output
    assert "Traceback" not in output or process.returncode == -signal.SIGINT, output
    assert not list((bench.folder / "results").rglob("*.lock"))


def test_a_job_that_died_is_named_in_words_of_the_suite(bench: Bench) -> None:
    runs = tuple(load_suite(bench.suite(strategies=["concat"])).runs())
    place = Place(bench.folder, "tiny", None, 1, {})
    files = JobFiles(store=None)  # type: ignore[arg-type]  # It asks nothing of the records.
    for job, words in (
        (PrepareJob(place, runs), "preparing digits"),
        (MeasureJob(place, runs[0], ()), "measuring digits / concat, seed 0"),
        (PretrainJob(place, runs[0], "left"), "pretraining digits / left, seed 0"),
        (LatencyJob(place, runs, {}), "timing digits, 2 strategies interleaved"),
    ):
        with pytest.raises(UserError, match=rf"^{words}: its process died; the same command with --debug shows"):
            files.crashed(job, "its process died")
