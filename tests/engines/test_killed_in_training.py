"""A run that is killed in the middle of its training goes on from its last epoch's border, with the same numbers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from small_suites import Bench, kill_tree


def checkpoints(bench: Bench, results: str) -> list[Path]:
    return list((bench.folder / results).rglob("*.checkpoint"))


def test_a_killed_run_goes_on_and_ends_as_undisturbed(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    suite = bench.suite(strategies=["gated"], seeds=1, budget={"epochs": 15, "dropout": 0.2})
    assert bench.run(suite, results="undisturbed") == 0
    process = bench.start(suite, "--workers", "1", "--checkpoint-after", "0", results="killed")
    while process.poll() is None and not checkpoints(bench, "killed"):
        time.sleep(0.02)
    kill_tree(process)
    (path,) = checkpoints(bench, "killed")
    begun = torch.load(path, weights_only=True)["epoch"]
    assert 1 <= begun < 15
    assert bench.run(suite, "--checkpoint-after", "0", results="killed") == 0
    assert "not used" not in capsys.readouterr().err
    assert bench.scores("killed") == bench.scores("undisturbed")
    (record,) = bench.records("killed").values()
    assert record["epochs_run"] == 15
    assert checkpoints(bench, "killed") == []


def test_a_hostile_checkpoint_is_named_and_the_run_starts_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    assert bench.run(suite, results="undisturbed") == 0
    (key,) = bench.records("undisturbed")
    path = bench.folder / "results" / "tiny" / "digits" / "concat" / f"{key}.checkpoint"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"epoch": 3}))
    assert bench.run(suite) == 0
    said = f"{key}.checkpoint: damaged, or no checkpoint (BadZipFile); not used, the run starts again"
    assert said in capsys.readouterr().err
    assert bench.scores() == bench.scores("undisturbed")
    assert not path.exists()
