"""Against a server that nobody here wrote: every run is there, whole, as its record says; twice sends nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openwandb_server import COMMAND, KEY, openwandb
from published_suite import STATUSES, Published

pytestmark = pytest.mark.skipif(COMMAND is None, reason="openwandb is not installed: pip install openwandb")


def test_every_run_is_there_as_its_record_says_and_twice_sends_nothing(
    made: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with openwandb(tmp_path / "server") as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert made.call("push", "--wandb-project", "mine") == 0
        assert "4 runs sent" in capfd.readouterr().out
        runs = server.runs("mine")
        assert set(runs) == {f"tiny-{run.key}" for run in made.runs}
        for run, status in zip(made.runs, STATUSES, strict=True):
            found, record = runs[f"tiny-{run.key}"], made.record(run)
            summary = json.loads(found["summaryMetrics"])
            assert summary["status"] == status
            assert found["displayName"].endswith(f" seed {record.run.seed}")
            assert f"same_encoders {status}".split() == [found["tags"][2], found["tags"][-1]]
            assert json.loads(found["config"])["key"]["value"] == run.key
            assert {name: summary[name] for name in record.scores} == record.scores
            assert found["state"] == "finished"
            for name, values in record.curves.items():
                assert server.history(f"tiny-{run.key}", name) == values
        assert made.call("push", "--wandb-project", "mine") == 0
        assert "0 runs sent, 4 were there already" in capfd.readouterr().out
