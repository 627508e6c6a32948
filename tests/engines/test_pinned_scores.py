"""Twelve runs of quickstart give the scores that are pinned here: whoever moves them has to raise a version.

A change to the runner, the data or the encoders raises `RESULTS_VERSION`, a change to one plug-in its own `version`.
Then `python tests/engines/test_pinned_scores.py` writes the file anew. A score that is added moves none of the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from portable import PORTABLE

from fusionbench.plan.load import load_suite
from fusionbench.plan.select import only
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.records.store import Store

FILE = Path(__file__).with_name("pinned_scores.json")
ROWS = ["strategy=unimodal_ensemble,concat,gated,low_rank,cross_attention,late", "seed=0"]
TOLERANCE = 0.03
"""Of an accuracy where kernels are others: digits has 359 test rows, synthetic_pid 4,096."""


def trained(folder: Path) -> dict[str, Any]:
    """What the runs give under portable kernels, and what these kernels are."""
    environment = {**os.environ, **PORTABLE}
    probe = subprocess.run(
        [sys.executable, Path(__file__).with_name("portable.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    words = [word for row in ROWS for word in ("--only", row)]
    words += ["--set", "measures=[]", "--results", str(folder), "--data", str(folder), "--workers", "2"]
    command = [sys.executable, "-m", "fusionbench.cli", "run", "quickstart", *words]
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    store, found = Store(folder, "quickstart"), {}
    for run in only(load_suite("quickstart").runs(), ROWS):
        record = store.read(run)
        assert record is not None
        found[run.key] = record.scores
    return {"kernels": probe.stdout.strip(), "results_version": RESULTS_VERSION, "scores": found}


def test_twelve_scores_of_quickstart_are_those_of_this_results_version(tmp_path: Path) -> None:
    pinned, found = json.loads(FILE.read_text(encoding="utf-8")), trained(tmp_path)
    assert found["results_version"] == pinned["results_version"], "write the pinned scores anew for this version"
    assert found["scores"].keys() == pinned["scores"].keys(), "keys moved: records that exist are lost to their suites"
    assert len(found["scores"]) == 12
    for key, scores in pinned["scores"].items():
        for name in ("test/accuracy", "test/macro_f1"):
            assert found["scores"][key][name] == pytest.approx(scores[name], abs=TOLERANCE), (key, name)
    if found["kernels"] == pinned["kernels"]:  # Elsewhere roundings differ, and with them the last digits.
        same = {key: {name: found["scores"][key][name] for name in scores} for key, scores in pinned["scores"].items()}
        assert same == pinned["scores"], "numbers moved: raise RESULTS_VERSION, or the plug-in's version"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        FILE.write_text(json.dumps(trained(Path(made)), indent=1, sort_keys=True) + "\n", encoding="utf-8")
