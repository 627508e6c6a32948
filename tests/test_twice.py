"""The real run of one strategy under two names: its records are of the suite beside them, and the page shows them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
RESULTS = DOCS / "twice" / "results" / "twice" / "digits"


def test_every_run_of_the_suite_has_its_record() -> None:
    """In docs/, where the second name can be imported; a change to its file changes its keys."""
    search = os.pathsep.join([str(DOCS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "fusionbench.cli", "plan", "twice/twice.yaml", "--results", "twice/results"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=DOCS, env={**os.environ, "PYTHONPATH": search}
    )
    planned = [line.split()[0] for line in done.stdout.splitlines() if " seed " in line]
    records = sorted(path.stem for path in RESULTS.glob("*/*.json") if "." not in path.stem)
    assert sorted(planned) == records, "run: make twice"
    assert "to do" not in done.stdout


def test_the_two_share_all_but_first_weights() -> None:
    first, second = ({r["spec"]["seed"]: r for r in map(read, folder(name))} for name in ("concat", "twice.concat"))
    assert sorted(first) == sorted(second) == list(range(6))
    for seed, one in first.items():
        other = second[seed]
        for fact in ("dataset", "encoders", "track", "budget"):
            assert one["spec"][fact] == other["spec"][fact]
        assert one["data"] == other["data"]
        assert one["curves"]["train/loss"][0] != other["curves"]["train/loss"][0]
        assert one["curves"]["train/loss"][0] == pytest.approx(other["curves"]["train/loss"][0], rel=0.2)


def folder(name: str) -> list[Path]:
    return [path for path in (RESULTS / name).glob("*.json") if "." not in path.stem]


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_they_are_tied() -> None:
    with (RESULTS / "pairs.csv").open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if {row["first"], row["second"]} == {"concat", "twice.concat"}]
    assert row["differ"] == "False"
    assert float(row["difference"]) < float(row["half_width"])
