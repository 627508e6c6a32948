"""What the server imports for all workers, and what is left to each."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.core import catalogue, plugin_places
from fusionbench.engines.forkserver import PRELOAD


def test_the_server_freezes_what_it_has_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: done.append("collected"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("frozen"))
    (name,) = PRELOAD
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.import_module(name)
    del sys.modules[name]
    assert done == ["collected", "frozen"]
    assert gc.isenabled()
    assert "fusionbench.engines.worker" in sys.modules


def test_naming_a_plug_in_reads_its_own_file_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parsed = plugin_places.parsed

    def noted(path: Path):  # type: ignore[no-untyped-def]
        read.append(path.name)
        return parsed(path)

    for module in (catalogue, plugin_places):
        monkeypatch.setattr(module, "parsed", noted)
    catalogue.describe.cache_clear()
    assert catalogue.describe("strategy", "gated").name == "gated"
    assert set(read) == {"gated.py"}


def test_a_script_that_runs_a_suite_is_not_run_again_by_its_workers(bench: Bench) -> None:
    words = bench.arguments("run", bench.suite(strategies=["concat"], seeds=1), "--workers", "1")
    script = bench.folder / "script.py"
    script.write_text(f"print('once')\nfrom fusionbench.cli.main import main\nassert main({words!r}) == 0\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("once"), done.stderr) == (0, 1, "")
    assert len(bench.records()) == 1
