"""What a terminal gets of `list`: a table that fits, and the page of one plug-in; a pipe gets Markdown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from fusionbench.cli.listing import KINDS, one_page
from fusionbench.cli.main import main
from fusionbench.cli.terminal_list import HEADS, terminal_table
from fusionbench.core.catalogue import names
from fusionbench.plan.source import shipped_suites


def lines_of(what: str, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_table(what, width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("what", HEADS)
def test_a_table_fits_the_terminal_and_names_stay_whole(what: str, width: int) -> None:
    lines = lines_of(what, width)
    assert max(map(len, lines)) <= width
    known = shipped_suites() if what == "suites" else names(KINDS[what])
    firsts = {line.split()[0] for line in lines if line.strip() and not line.startswith(" ")}
    assert set(known) <= firsts


def test_a_strategy_says_its_family_fidelity_and_what_it_does_where_there_is_room() -> None:
    assert lines_of("strategies", 132)[0].split() == ["strategy", "family", "fidelity", "what", "it", "does"]
    (row,) = [line for line in lines_of("strategies", 132) if line.startswith("gated ")]
    assert row.split()[:3] == ["gated", "feature", "faithful"]
    assert "every hidden unit decides how much to trust each modality" in row
    assert lines_of("strategies", 60)[0].split() == ["strategy", "what", "it", "does"]


def test_a_terminal_gets_no_markdown() -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "fusionbench.cli", "list", "encoders"]
    surroundings = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    with subprocess.Popen(words, stdout=theirs, env=surroundings) as process:
        os.close(theirs)
        found = b""
        try:
            while part := os.read(ours, 65536):
                found += part
        except OSError:  # How Linux says that the other end is closed.
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"small_cnn" in found
    assert b"| small_cnn" not in found
    assert max(len(line.rstrip()) for line in found.decode().splitlines()) <= 80


def test_one_of_them_is_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "strategies", "gated"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("### gated\n")
    assert text.count("\n### ") == 0
    for what, name, part in (
        ("datasets", "digits", "- **Licence**: CC BY 4.0"),
        ("encoders", "small_cnn", "- **Options**: `"),
        ("measures", "latency", "- **Options**: `"),
        ("suites", "quickstart", "name: quickstart"),
    ):
        assert part in one_page(what, name)


@pytest.mark.parametrize("words", [["strategies", "gatd"], ["suites", "quickstar"], ["strategies", "gated", "--long"]])
def test_a_page_that_is_not_there_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert ("did you mean" in error) != ("--long" in words)


def test_the_program_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: fusionbench")
    assert "fusionbench run quickstart" in text
