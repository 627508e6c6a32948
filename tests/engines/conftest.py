"""A folder to run small suites in."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_suites import NUMBERS, Bench


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all tests: converted once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def bench(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A fresh folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Bench(tmp_path, data_folder, f"mine{next(NUMBERS)}")


@pytest.fixture
def own_data(bench: Bench, tmp_path: Path) -> Bench:
    """The same with a data folder of its own: timings, weights and encodings of no other test."""
    bench.data = tmp_path / "data"
    bench.data.mkdir()
    return bench
