"""Every reader of files gets some thousand damaged and hostile ones: success or the one clear error, and nothing else.

More of them: `make fuzz`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edits import Program, edited
from fuzzing import GUARD, LEAST_PASSED, READERS, TURN, Fuzzed, scratch

INPUTS = int(os.environ.get("FUSIONBENCH_TEST_FUZZ", "2000"))


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch() as made:
        yield made


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_refused_in_a_line(name: str, folder: Path) -> None:
    fuzzed = Fuzzed(READERS[name](), folder)
    for start in range(0, INPUTS, TURN):
        fuzzed.turn(min(TURN, INPUTS - start), start)
    assert fuzzed.tally.inputs >= min(INPUTS, 100)
    assert fuzzed.tally.share >= LEAST_PASSED, fuzzed.tally
    assert 0 < fuzzed.tally.read < fuzzed.tally.inputs, fuzzed.tally


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_edited_is_read(name: str, folder: Path) -> None:
    fuzzed = Fuzzed(READERS[name](), folder)
    with fuzzed.reader.ready():
        fuzzed.one(b"")
    assert (fuzzed.tally.passed, fuzzed.tally.read) == (1, 1)


def test_an_empty_program_changes_nothing_and_any_other_is_followed_alike_each_time() -> None:
    content = bytes(range(200))
    assert edited(content, Program(b""), ()) == content
    program = bytes([0, 17, 3, 4, 5, 6, 7, 8, 9, 10])
    assert edited(content, Program(program), (b"token",)) == edited(content, Program(program), (b"token",)) != content


def test_the_guard_sees_what_is_no_reading(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    evil = pickle.dumps(os.getcwd)
    deeds: dict[str, Callable[[], object]] = {
        "opened": lambda: (tmp_path / "outside").write_text("x"),
        "os.mkdir": (tmp_path / "other").mkdir,
        "os.rename": lambda: (tmp_path / "outside").rename(tmp_path / "inside" / "x"),
        "pickle.find_class": lambda: pickle.loads(evil),
        "subprocess.Popen": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "executed": lambda: exec("1"),
    }
    for name, deed in deeds.items():
        with pytest.raises(AssertionError, match=name), GUARD.watching(tmp_path / "inside"):
            deed()
    with GUARD.watching(tmp_path / "inside"):
        (tmp_path / "inside" / "y").write_text("x")
        (tmp_path / "inside" / "y").read_text()
        (tmp_path / "inside" / "y").unlink()
