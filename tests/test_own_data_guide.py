"""The guide to one's own data: its code runs, and what it prints is of the records that lie beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fusionbench.api.results import Results
from fusionbench.cli.main import main
from fusionbench.plan.dataset_choice import modality_kinds
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "own_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


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
    _refuse_stale_commands(tmp_path, capsys)


def _refuse_stale_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its table was made by its Python: the commands do what the page shows, and end well."""
    first, second = re.findall(r"^fusionbench (.*)$", re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)[0], re.MULTILINE)
    capsys.readouterr()
    assert main(first.split()) == 0
    assert capsys.readouterr().out in GUIDE, "run: python docs/readme.py"
    assert (folder / "patients.yaml").read_text(encoding="utf-8") in GUIDE, "run: python docs/readme.py"
    less = ["--set", "budget.epochs=1", "--set", "seeds=1", "--set", "measures=[]", "--only", "strategy=concat"]
    assert main([*second.split(), *less]) == 0
    assert "patients: 1 done" in capsys.readouterr().out


def test_the_example_of_a_tables_options_plans_without_the_table() -> None:
    text = re.findall(r"```yaml\n(datasets:.*?)```", GUIDE, re.DOTALL)[0]
    suite = suite_of(parse_source(f"name: x\nstrategies: [concat]\n{text}", "x"))
    assert modality_kinds(suite.datasets[0]) == {"plot": "tokens", "poster": "image", "table": "vector"}


def test_the_line_that_names_a_missing_file_is_the_one_that_is_given(tmp_path: Path) -> None:
    from fusionbench.core.errors import UserError
    from fusionbench.data.manifest import Manifest

    (tmp_path / "photos").mkdir()
    rows = [f"photos/{row}.png,{20 + row},{('ill', 'well')[row % 2]}" for row in range(40)]
    for row in range(15):
        (tmp_path / "photos" / f"{row}.png").touch()
    (tmp_path / "patients.csv").write_text("photo,age,label\n" + "\n".join(rows))
    columns: dict[str, Any] = {"photo": "image", "age": "number"}
    with pytest.raises(UserError) as error:
        Manifest(tmp_path, file="patients.csv", columns=columns, label="label").prepare_data()
    assert f"`{str(error.value).removeprefix(f'{tmp_path}/')}`" in " ".join(GUIDE.split())


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
