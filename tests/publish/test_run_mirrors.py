"""A real run with --wandb: trained, recorded, mirrored."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_suites import NUMBERS, Bench
from wandb_files import read_all


def test_a_run_mirrors_what_it_did_once_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path, tmp_path / "data", f"mirrored{next(NUMBERS)}")
    suite = bench.suite(strategies=["concat", *bench.own("raises")], seeds=1)
    assert bench.run(suite, "--wandb", "offline", "--wandb-project", "mine") == 1
    lines = capfd.readouterr().out.splitlines()
    assert "2 runs written; `fusionbench push" in lines[-2]
    assert lines[-1] == "tiny: 1 done, 1 failed"
    sent, records = read_all(tmp_path / "results" / "tiny" / "wandb"), bench.records()
    assert {run.config["key"] for (run,) in sent.values()} == set(records)
    for (run,) in sent.values():
        record = records[run.config["key"]]
        assert run.project == "mine"
        assert run.summary["status"] == record["status"]
        assert {name: run.summary[name] for name in record["scores"]} == record["scores"]
        assert {name: [row[name] for row in run.history] for name in record["curves"]} == record["curves"]
        assert ("size/fusion_parameters" in run.summary) == (record["status"] == "done")
