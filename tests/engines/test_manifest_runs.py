"""A table in a file, trained on: every kind of task, modalities that are missing in training; and a table changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fusionbench.cli.main import main

COLUMNS = {"age": "number", "ward": "category", "note": "tokens", "walk": "sequence"}


def write_table(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    with (folder / "people.jsonl").open("w") as file:
        for row in range(rows):
            ill, age = row % 2, int(rng.integers(20, 80))
            cells = {
                "age": None if row % 5 == 0 else age,
                "ward": None if row % 7 == 0 else ("north", "south")[row % 2],
                "note": None if row % 3 == 0 else f"{('feels well', 'is tired')[ill]} since {row} days",
                "walk": None if row % 4 == 0 else rng.normal(ill, 1, size=(1 + row % 4, 2)).tolist(),
                "label": ("well", "ill")[ill],
                "labels": [name for name, there in (("ill", ill), ("old", age > 50)) if there],
                "months": age * 12.5 + ill,
            }
            cells |= {"age": age} if row % 420 == 0 else {}  # No row is without anything.
            file.write(f"{json.dumps(cells)}\n")


def suite(folder: Path) -> None:
    def dataset(label: str, kind: str) -> dict[str, object]:
        return {
            "name": "manifest",
            "options": {"file": "people.jsonl", "columns": COLUMNS, "label": label, "kind": kind},
        }

    tree = {
        "name": "people",
        "datasets": [dataset("label", "multiclass"), dataset("labels", "multilabel"), dataset("months", "regression")],
        "strategies": ["concat"],
        "seeds": 1,
        "budget": {"epochs": 1, "batch_size": 16},
        "measures": ["size"],
    }
    (folder / "people.yaml").write_text(json.dumps(tree))


def test_every_kind_of_task_trains_with_missing_modalities_and_a_changed_table_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_table(tmp_path, 90)
    suite(tmp_path)
    command = ["run", "people.yaml", "--data", "data"]
    assert main(command) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("*.json") if "." not in path.stem]
    assert [record["status"] for record in records] == ["done"] * 3
    kinds = {record["task"]["kind"]: record for record in records}
    assert set(kinds) == {"multiclass", "multilabel", "regression"}
    assert {m["name"]: m["kind"] for m in kinds["regression"]["task"]["modalities"]} == {
        "note": "tokens",
        "table": "vector",
        "walk": "sequence",
    }
    assert all(np.isfinite(list(record["scores"].values())).all() for record in records)
    write_table(tmp_path, 92)
    capsys.readouterr()
    assert main([*command, "--set", "seeds=2"]) == 2
    assert "fingerprint" in capsys.readouterr().err
