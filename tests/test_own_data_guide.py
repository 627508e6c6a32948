"""The guide to one's own data: its code runs, and what it prints is of the records that lie beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fusionbench.api.results import Results

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "own_data.md").read_text(encoding="utf-8"), re.DOTALL)


def test_its_code_runs_and_its_first_table_needs_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / "data"))
    shutil.copytree(DOCS / "results", tmp_path / "results")
    there = set((tmp_path / "results").rglob("*.json"))
    found: dict[str, Any] = {}
    exec(compile(BLOCKS[0], "own_data.md", "exec"), found)
    assert set((tmp_path / "results").rglob("*.json")) == there, "run the first script in docs/: its records are old"
    assert capsys.readouterr().out in (DOCS / "own_data.md").read_text(encoding="utf-8"), "run: python docs/readme.py"
    for number, block in enumerate(BLOCKS[1:], 1):
        exec(compile(block, f"own_data.md, block {number}", "exec"), found)
    result = found["result"]
    assert isinstance(result, Results)
    assert dict(result.counts) == {"done": 4}
    assert set(found["records"]["suite"]) == {"own_data", "visits", "official"}
    assert (tmp_path / "official.pdf").read_bytes().startswith(b"%PDF")
    assert "tabular" in found["text"]
    assert all(path.exists() for path in found["paths"])


def test_the_line_of_an_error_that_it_shows_is_the_one_that_is_given() -> None:
    import numpy as np

    import fusionbench
    from fusionbench.core.errors import UserError

    walks = [np.zeros((3, 2)) for _ in range(20)]
    walks[17][1, 0] = np.nan
    with pytest.raises(UserError) as error:
        fusionbench.compare({"walk": walks, "other": np.arange(20.0)}, [0, 1] * 10)
    guide = " ".join((DOCS / "own_data.md").read_text(encoding="utf-8").split())
    assert f"`{error.value}`" in guide
