"""`fusionbench targets`: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionbench.cli.main import main

TRACK = "tracks=[same_encoders, {name: matched_parameters, options: {target: 30000}}]"


def page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["targets", "quickstart", "--set", "strategies=[concat, cross_attention, chance]", *words]) == 0
    return capsys.readouterr().out


def test_it_shows_heads_at_the_suites_own_targets_and_at_those_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, "--set", TRACK, "--target", "8514", "--target", "99000", "--only", "dataset=synthetic_pid")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "strategy", "1 unit", "64 units", "at 8,514", "at 30,000", "at 99,000",
    ]  # fmt: skip
    # concat: (2 * 64 + 1) W + (W + 1) 2 parameters.
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["concat", "133", "8,386", "65", "229", "756"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]][3:] == ["out of reach", "out of reach", "1 (narrow)"]
    assert "chance" not in text


def test_a_track_without_a_target_has_what_concat_has(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, "--set", "tracks=[matched_parameters]", "--only", "dataset=synthetic_pid")
    assert "| at 8,386 " in text


def test_without_any_target_the_last_of_the_ladder_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, "--only", "dataset=synthetic_pid")
    assert "| at 8,390 " in text
    *_, before, last = text.splitlines()
    assert before.split() == ["8,390", "1", "cross_attention"]
    assert last.split()[1:] == ["0", "none"]
    assert f"| at {last.split()[0]} " in text


def test_what_no_target_helps_has_its_reason_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "quickstart", "--set", "strategies=[concat, co_attention]"]) == 0
    text = capsys.readouterr().out
    assert text.count("\n\n| strategy ") == 2
    reasons = text.partition("No row at any target:\n")[2].splitlines()
    assert reasons[0].startswith("  co_attention: every modality is one vector")
    assert reasons[1] == ""
    assert [line.split(None, 2)[1:] for line in text.splitlines()[-3:]] == [
        ["2", "concat on digits, co_attention"],
        ["1", "co_attention"],
        ["0", "none"],
    ]


def test_a_track_of_own_widths_has_them_shown(capsys: pytest.CaptureFixture[str]) -> None:
    own = "tracks=[{name: matched_parameters, options: {solve: own, target: 60000}}]"
    words = ["--set", own, "--set", "strategies=[concat, gated, memory]", "--only", "dataset=synthetic_pid"]
    assert main(["targets", "quickstart", *words]) == 0
    text = capsys.readouterr().out.partition("widths of a strategy's own at a target")[2]
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    # 4 * 64 * hidden + (hidden + 1) 64 + 65 * 2 parameters.
    assert found[2:] == [["gated", "hidden = 187"], ["memory", "out of reach"]]


def test_it_needs_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "imdb", "--set", "strategies=[concat]", "--data", str(tmp_path)]) == 0
    assert "| concat " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_no_count_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "quickstart", "--target", "0"]) == 2
    assert capsys.readouterr().err == "fusionbench: --target 0: a target is a number of parameters, 1 or more\n"
