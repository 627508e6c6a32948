"""The command line as a new user meets it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusionbench.api.progress import LineWatcher
from fusionbench.cli.arguments import parser
from fusionbench.cli.main import main
from fusionbench.cli.suites import work_of
from fusionbench.core.catalogue import names
from fusionbench.plan.suite import RunSpec
from fusionbench.records.resamples import Resamples
from fusionbench.records.store import Store


def command(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fusionbench.cli", *words], capture_output=True, text=True, cwd=folder, check=False
    )


HEAVY = ("torch", "lightning", "timm", "pandas", "pyarrow", "sklearn", "matplotlib", "scipy", "altair", "vl_convert")


@pytest.mark.parametrize(
    "words", [["--help"], ["list"], ["plan", "quickstart"], ["cite", "quickstart"], ["run", "--help"]]
)
def test_help_list_plan_and_cite_answer_without_importing_anything_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom fusionbench.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_a_report_loads_no_torch_and_tables_alone_no_matplotlib(tmp_path: Path) -> None:
    published = Path(__file__).parents[2] / "results" / "quickstart"
    shutil.copytree(published, tmp_path / "quickstart")
    unwanted = [name for name in HEAVY if name != "scipy"] + ["statsmodels"]
    words = ["report", "quickstart", "--results", str(tmp_path), "--no-pictures"]
    code = (
        f"import sys\nfrom fusionbench.cli.main import main\nassert main({words!r}) == 0\n"
        f"print([name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_list_names_every_plugin_and_the_options_a_suite_may_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for kind in ("strategy", "dataset", "encoder", "measure"):
        assert all(f"| {name} " in text for name in names(kind))
    assert "rank=" in text
    assert "| quickstart " in text
    assert main(["list", "encoders"]) == 0
    assert "gated" not in capsys.readouterr().out


def test_plan_shows_every_run_with_its_key_and_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "quickstart", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 133
    assert len({line.split()[0] for line in lines[:-1]}) == 132
    assert lines[-1] == "quickstart: 132 runs; 132 to do"


def test_only_and_shard_choose_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["plan", "quickstart", "--results", str(tmp_path)]
    main([*base, "--only", "strategy=gated,late", "--only", "dataset=digits"])
    assert "quickstart: 12 runs" in capsys.readouterr().out
    keys: list[str] = []
    for k in (1, 2, 3, 4):
        main([*base, "--shard", f"{k}/4"])
        keys += [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]]
    assert len(keys) == len(set(keys)) == 132


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["run", "quickstar"], ["quickstar", "did you mean 'quickstart'"]),
        (["plan", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (["plan", "quickstart", "--set", "budget.epoch=2"], ["epoch", "did you mean 'epochs'"]),
        (["plan", "quickstart", "--set", "budget.epochs=two"], ["budget.epochs", "two"]),
        (["plan", "quickstart", "--only", "strategy=gatd"], ["gatd", "did you mean 'gated'"]),
        (["plan", "quickstart", "--only", "colour=red"], ["colour", "strategy="]),
        (["plan", "quickstart", "--shard", "5/4"], ["5/4", "1/4"]),
        (["run", "quickstart", "--workers", "0"], ["--workers"]),
        (["run", "quickstart", "--again", "done"], ["--again", "failed"]),
        (["run", "quickstart", "--data", "/no/such/folder"], ["/no/such/folder", "mkdir"]),
        (["report", "quickstart", "--results", "/no/such/folder"], ["quickstart", "run"]),
    ],
)
def test_wrong_use_is_two_lines_at_most_and_names_the_way_out(
    words: list[str],
    parts: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert 1 <= len(error.strip().splitlines()) <= 2, error
    assert all(part in error for part in parts), error
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback() -> None:
    done = command("run", "quickstar", "--debug")
    assert "Traceback" in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m fusionbench.cli plan quickstart | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_check_finds_a_damaged_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Path(__file__).parent.parent / "records" / "golden_record.json"
    record = json.loads(golden.read_text())
    folder = tmp_path / "tiny" / "digits" / "unimodal+modality=left"
    folder.mkdir(parents=True)
    path = folder / f"{record['key']}.json"
    path.write_text(golden.read_text())
    resamples = Resamples(record["key"], "a" * 64, "rows", 360, 3, {"test/accuracy": [0.9, 0.8, 0.7]})
    Store(tmp_path, "tiny").publish_resamples(RunSpec.from_json(record["spec"]), resamples)
    assert main(["check", str(tmp_path)]) == 0
    path.write_text(golden.read_text().replace('"seed": 3', '"seed": 4'))
    assert main(["check", str(tmp_path)]) == 1
    assert "not the hash" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [["check"], ["report", "smoke", "--results"], ["verify", "0123456789ab", "--results"]])
def test_a_file_in_the_place_of_a_results_folder_is_one_line(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([*verb, str(tmp_path / "file")]) == 2
    expected = f"fusionbench: {tmp_path / 'file'}: no folder; name the one that holds the records (--results)\n"
    assert capsys.readouterr().err == expected


def test_a_folder_that_is_not_there_is_not_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "resluts")]) == 2
    assert "resluts: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(("emulates", "gpus", "is_told"), [(True, (), True), (False, (), False), (True, ("0",), False)])
def test_bfloat16_on_a_processor_that_emulates_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    emulates: bool,
    gpus: tuple[str, ...],
    is_told: bool,
) -> None:
    monkeypatch.setattr("fusionbench.records.environment.emulates_bfloat16", lambda: emulates)
    monkeypatch.setattr("fusionbench.engines.gpus.visible_gpus", lambda: gpus)
    options = parser().parse_args(["run", "smoke", "--set", "budget.precision=bf16-mixed"])
    watcher = LineWatcher(0, 0, print)
    work_of(options).runner(watcher, watcher.told)
    assert ("emulates it" in capsys.readouterr().err) == is_told
