"""The guide to measures: the one of one's own that it shows runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fusionbench.cli.main import main

PAGE = (Path(__file__).parent.parent / "docs" / "measures.md").read_text(encoding="utf-8")


def test_its_measure_of_ones_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (own,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "measures_guide").mkdir()
    (tmp_path / "measures_guide" / "confident.py").write_text(own)
    suite = {"name": "own", "datasets": ["digits"], "strategies": ["late"], "seeds": 1, "budget": {"epochs": 1}}
    measure = {"name": "measures_guide.confident", "options": {"above": 0.5}}
    (tmp_path / "own.yaml").write_text(json.dumps({**suite, "measures": [measure]}))
    (tmp_path / "data").mkdir()
    assert main(["run", "own.yaml", "--data", str(tmp_path / "data")]) == 0
    (path,) = (tmp_path / "results").rglob("*.measures_guide.confident.json")
    found = json.loads(path.read_text())
    assert 0 <= found["confident"] <= 1
    assert found["rows"] == 359
