"""The page of the public API: its code runs, every name on it is there, and what it says of `list` holds."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fusionbench.core.installed import GROUP

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.M | re.S))
NAMES = re.findall(r"`(fusionbench\.[\w.]+)`", PAGE.partition("Public too")[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "data").mkdir()
    return tmp_path


def ran(folder: Path, *words: str) -> str:
    surroundings = {**os.environ, "FUSIONBENCH_DATA": str(folder / "data")}
    python = [sys.executable, *words]
    done = subprocess.run(python, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_block_of_python_is_one_of_these_files() -> None:
    assert list(FILES) == ["nets.py", "study.py", "beside.py", "test_mine.py"]
    assert PAGE.count("```python") == len(FILES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_has_words(name: str) -> None:
    try:
        found = importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
    assert found.__doc__


def test_a_network_is_compared(folder: Path) -> None:
    shown = ran(folder, "study.py")
    assert re.search(r"^ nets\.Net +0", shown, re.M)
    assert re.search(r"^ nets\.Net\+hidden=8 +0", shown, re.M)
    assert shown.count("own, contract not run") == 2


def test_it_stands_beside_the_records_of_a_suite(folder: Path) -> None:
    assert ran(folder, "beside.py") == "digits: 4 of 4 records of the other rows are there.\n"


def test_the_contract_is_run_by_a_test_of_ones_own(folder: Path) -> None:
    assert "1 passed" in ran(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")


def test_the_entry_points_are_of_the_group_that_is_read() -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
    assert list(tomllib.loads(block)["project"]["entry-points"]) == [GROUP]
