"""Which runs a call means: of a file, a shipped name or a dict; and of plug-ins as they are now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fusionbench.api.work import Work, planned, statuses
from fusionbench.core.errors import UserError

STRATEGY = """\"\"\"Mine: one of the user's own.\"\"\"
from fusionbench.fusion.base import FusionModule


class Mine(FusionModule):
    pass
"""


def tree(**changes: Any) -> dict[str, Any]:
    return {"name": "tiny", "datasets": ["digits"], "strategies": ["concat", "late"], "seeds": 2, **changes}


def test_a_dict_a_file_and_a_shipped_name_are_suites(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text("{name: tiny, datasets: [digits], strategies: [concat, late], seeds: 2}")
    of_file = planned(path)
    assert planned(tree()) == of_file
    assert planned(str(path)) == of_file
    assert planned("smoke")[0].name == "smoke"
    suite, runs = planned(tree(), ["budget.epochs=3"], ["strategy=late"], "1/2")
    assert [(run.strategy.name, run.seed) for run in runs] == [("late", 0)]
    assert suite.budget.epochs == 3


def test_a_mistake_in_a_dict_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^tiny: strategies\.1: no strategy 'lat'; did you mean 'late'"):
        planned(tree(strategies=["concat", "lat"]))
    with pytest.raises(UserError, match=r"^again: give one or more of failed,diverged,skipped"):
        statuses(["done"])
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        Work(*planned(tree()), data=tmp_path / "nowhere").place()


def test_a_plug_in_that_is_edited_between_two_calls_makes_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="no such Python module"):
        planned(tree(strategies=["mine_edited.mine"]))
    (tmp_path / "mine_edited").mkdir()
    path = tmp_path / "mine_edited" / "mine.py"
    path.write_text(STRATEGY)
    before = {run.key for run in planned(tree(strategies=["mine_edited.mine"]))[1]}
    path.write_text(STRATEGY + "# Edited.\n")
    assert before.isdisjoint(run.key for run in planned(tree(strategies=["mine_edited.mine"]))[1])


def test_workers_are_told_the_data_folder_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their server may be older than what a notebook has set since.
    for name in ("one", "two"):
        monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / name))
        assert Work(*planned(tree())).place().data == tmp_path / name


def test_under_torchrun_a_call_says_what_torchrun_has_to_start() -> None:
    variables = {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    code = "import fusionbench\nfusionbench.run('smoke')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert "fusionbench.run: torchrun has started this process; have it start `-m fusionbench.cli run" in done.stderr
