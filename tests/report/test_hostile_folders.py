"""A results folder that nobody should trust: each bad file is named, none ends the report, none is counted."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from made_up_suite import Bench, make

from fusionbench.cli.main import main
from fusionbench.core.errors import UserError
from fusionbench.records import reading
from fusionbench.records.reading import LARGEST
from fusionbench.records.record import to_text

SUITE = "name: mine\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 3\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = make(tmp_path, "concat", "late")
    made.fill({"concat": 0.9, "late": 0.8})
    made.timed({"concat": 0.5, "late": 0.4})
    (tmp_path / "mine.yaml").write_text(SUITE)
    return made


def reported(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    arguments = ["report", str(folder / "mine.yaml"), "--results", str(folder / "results"), "--no-pictures", *words]
    capsys.readouterr()
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    return shown.out, shown.err


def seeds(text: str, strategy: str) -> str:
    """How many seeds a row of a Markdown table counts, as `2/3`."""
    row = next(line for line in text.splitlines() if line.startswith(f"| `{strategy}` |"))
    return next(cell for cell in row.split(" | ") if re.fullmatch(r"\d/\d", cell.strip(" |"))).strip(" |")


def changed(bench: Bench, **fields: Any) -> str:
    """A record's text with other fields than a record may have."""
    run = bench.runs("concat")[0]
    return json.dumps({**asdict(bench.record(run, 0.9)), **fields})


RECORDS: dict[str, Callable[[Bench], str | bytes]] = {
    "empty": lambda _: "",
    "truncated": lambda bench: to_text(bench.record(bench.runs("concat")[0], 0.9))[:700],
    "zeros": lambda _: bytes(4096),
    "no UTF-8": lambda bench: changed(bench).encode()[:-1] + b"\xff}",
    "a list": lambda _: "[1, 2]",
    "deep": lambda _: "[" * 200_000,
    "deep inside": lambda bench: changed(bench)[:-1] + ', "notes": ' + "[" * 200_000 + "}",
    "a field too many": lambda bench: changed(bench, surprise=1),
    "of another run": lambda bench: to_text(bench.record(bench.runs("late")[1], 0.99)),
    "another schema": lambda bench: changed(bench, schema=99),
    "of the future": lambda bench: changed(bench, results_version=99),
    "not finite": lambda bench: changed(bench, scores={"test/accuracy": float("inf")}),
    "a score without end": lambda bench: changed(bench, scores={"test/accuracy": 1e300}),
    "an unknown metric": lambda bench: changed(bench, task={"metric": "\x1b[31mtotal", "kind": "multiclass"}),
    "a metric of no type": lambda bench: changed(bench, task={"metric": {"a": 1}}),
    "options in words": lambda bench: changed(bench, options={"head_width": "wide", "width": 64}),
    "trials that are none": lambda bench: changed(bench, options={"trials": None}),
    "rates in words": lambda bench: changed(bench, options={"trials": {"fast": 0.9}, "learning_rate": 0.1}),
    "half an encoder": lambda bench: changed(bench, options={"pretrained": {"left": {"rows": "half"}}}),
    "another key": lambda bench: changed(bench, key="0" * 12),
    "another spec": lambda bench: changed(bench, spec={**bench.runs("concat")[0].to_json(), "seed": 1}),
    "a spec of lists": lambda bench: changed(bench, spec={"dataset": [1], "strategy": 3}),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_that_is_none_is_named_and_not_counted(
    kind: str, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.store.path(bench.runs("concat")[0])
    content = RECORDS[kind](bench)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    out, err = reported(tmp_path, capsys)
    assert (seeds(out, "concat"), seeds(out, "late")) == ("2/3", "3/3")
    assert [line for line in err.splitlines() if line.startswith(f"{path}: ")], err
    assert all("not counted" in line for line in err.splitlines())
    if kind in ("another schema", "of the future"):
        assert path.exists()
    out, err = reported(tmp_path, capsys)
    assert seeds(out, "concat") == "2/3"


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.txt").write_text("mine")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


@pytest.mark.parametrize("replaced", [make_folder, make_pipe, make_loop, make_sparse])
@pytest.mark.parametrize("suffix", [".json", ".size.json", ".resamples.json"])
def test_what_is_no_file_is_named_and_never_waited_for(
    replaced: Callable[[Path], None], suffix: str, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.store.path(bench.runs("concat")[0], suffix)
    path.unlink(missing_ok=True)
    replaced(path)
    out, err = reported(tmp_path, capsys)
    assert seeds(out, "concat") == ("2/3" if suffix == ".json" else "3/3")
    assert [line for line in err.splitlines() if line.startswith(f"{path}: ")], err
    assert main(["check", str(tmp_path / "results")]) in (0, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_record_that_may_not_be_read_stays_and_its_run_is_not_done_again(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.store.path(bench.runs("concat")[0])
    path.chmod(0)
    out, err = reported(tmp_path, capsys)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert seeds(out, "concat") == "2/3"
    assert "cannot be read: Permission denied; left where it is, not counted" in err
    assert path.exists()


def test_a_record_that_the_system_does_not_give_is_left_and_its_run_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.runs("concat")[0]
    path, opened = bench.store.path(run), open

    def failing(this: str | Path, mode: str) -> Any:
        if os.fspath(this) == str(path):
            raise OSError(5, "Input/output error")
        return opened(this, mode)

    monkeypatch.setattr(reading, "open", failing, raising=False)
    assert bench.store.read(run) is None
    assert bench.store.set_aside == [f"{path}: cannot be read: Input/output error; left where it is, not counted"]
    with pytest.raises(UserError, match="Input/output error; make it readable, or another --results folder"):
        bench.store.is_wanted(run)
    assert path.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"fusion_parameters": "many"},
        {"fusion_parameters": float("nan")},
        {"fusion_parameters": -3},
        {"flops_per_sample": [1]},
        {"fusion_parameters": True},
    ],
)
def test_a_size_that_is_no_count_is_named_and_not_shown(
    values: dict[str, Any], bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.store.path(bench.runs("concat")[0], ".size.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    out, err = reported(tmp_path, capsys)
    assert f"{path}: not a valid record ({next(iter(values))} is no count); moved to" in err
    assert seeds(out, "concat") == "3/3"  # Another seed says the same.


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": "fast"},
        {"rows": [{"strategy": "concat"}]},
        {"device": None, "options": {}},
        {"track": "none"},
        {"track": {"name": 3}},
        {"started": {"a": 1}, "rows": None},
    ],
)
def test_a_latency_session_that_is_none_is_named_and_the_other_one_shown(
    changes: dict[str, Any], bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = (bench.store.folder(bench.suite.datasets[0]) / "latency").glob("*.json")
    bad = good.with_name("0123456789ab.json")
    bad.write_text(json.dumps({**json.loads(good.read_text()), "key": bad.stem, **changes}))
    out, err = reported(tmp_path, capsys)
    assert bad.stem in err
    assert "not counted" in err
    assert "on Acme 9000" in out


def test_a_time_below_zero_is_no_time(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = (bench.store.folder(bench.suite.datasets[0]) / "latency").glob("*.json")
    facts = json.loads(path.read_text())
    facts["rows"][0]["median_ms"] = -1.0
    path.write_text(json.dumps(facts))
    out, err = reported(tmp_path, capsys)
    assert "rows.0.median_ms: input should be greater than 0; not counted" in err
    assert "Latency was not measured" in out


def test_copies_and_other_files_are_named_and_not_counted(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (bench.store.path(bench.runs(name)[0]) for name in ("concat", "late"))
    copies = {
        first.with_name(f"{first.stem} (1).json"): "no record's name",
        first.with_name(f"{first.name}~"): "",
        first.with_name("notes.txt"): "no record's name",
        second.with_name(first.name): f"a copy of a record whose place is {first}",
    }
    for path in copies:
        path.write_bytes(first.read_bytes())
    first.with_name(".DS_Store").write_text("")
    out, err = reported(tmp_path, capsys)
    assert (seeds(out, "concat"), seeds(out, "late")) == ("3/3", "3/3")
    assert sorted(err.splitlines()) == sorted(f"{path}: {why}; not counted" for path, why in copies.items() if why)


def test_a_reason_cannot_command_the_terminal_or_the_page(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(bench.runs("concat")[0], seed=9)
    (tmp_path / "mine.yaml").write_text(SUITE.replace("seeds: 3", "seeds: [0, 1, 2, 9]"))
    bench.ended(run, "failed", "\x1b]0;owned\x07\x1b[2J| <script> \u202e `x` \n# heading")
    out, _ = reported(tmp_path, capsys)
    assert "failed (seed 9: ?\\]0;owned??\\[2J\\| \\<script\\> ? \\`x\\` \\# heading)" in out


def test_a_suite_where_nothing_is_done_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = make(tmp_path, "concat", "late")
    (tmp_path / "mine.yaml").write_text(SUITE)
    arguments = ["report", str(tmp_path / "mine.yaml"), "--results", str(tmp_path / "results")]
    assert main(arguments) == 2
    assert "no records of suite 'mine' yet; `fusionbench run mine` makes them" in capsys.readouterr().err
    for run in bench.runs():
        bench.ended(run, "failed", "out of memory")
    out, _ = reported(tmp_path, capsys)
    assert "No run is done yet." in out
    assert "Once what the notes say is mended, `fusionbench run mine --again failed` does them anew." in out
