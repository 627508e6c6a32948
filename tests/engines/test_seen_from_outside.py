"""A suite that runs, as another process sees it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from small_suites import Bench


def status(bench: Bench, suite: str) -> dict[str, Any]:
    """What `status` says in a process of its own."""
    words = bench.arguments("status", suite, "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "fusionbench.cli", *words], capture_output=True, text=True, check=True, cwd=bench.folder
    )
    return dict(json.loads(done.stdout))


def test_status_says_where_a_run_is_and_how_far(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat"], seeds=2, budget={"epochs": 100_000})
    (bench.folder / "results").mkdir()
    process = bench.start(suite, "--workers", "1")
    try:
        running: dict[str, Any] = {}
        while not running.get("done"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
            found = status(bench, suite)
            running = found["runs"][0].get("running", {})
        assert running["total"] == 100_000
        assert running["left_s"] > 0
        assert running["pid"] != process.pid  # That of the worker.
        assert found["counts"] == {"running": 1, "waiting": 1}
        assert found["left_s"] > running["left_s"]  # The other comes after it.
    finally:
        process.terminate()
        process.communicate()
    found = status(bench, suite)
    assert (found["counts"], found["notes"]) == ({"waiting": 2}, [])
