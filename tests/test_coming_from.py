"""Others' loaders to ours: the code of docs/coming_from.md, on small data in the form that each of them gives."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import fusionbench
from fusionbench.api.results import Results

PAGE = (Path(__file__).parent.parent / "docs" / "coming_from.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# ([^\n]+)\n(.*?)```", PAGE, re.DOTALL))
ROWS = 60
RNG = np.random.default_rng(0)
LABELS = np.arange(ROWS) % 2
IMAGES = (RNG.random((ROWS, 1, 8, 8)) + LABELS[:, None, None, None]).astype(np.float32)
VECTORS = RNG.random((ROWS, 5)).astype(np.float32)


def ran(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> tuple[Results, pd.Series]:
    """What the block makes, with fewer strategies, seeds and epochs; and the one record of `concat`."""
    small = partial(fusionbench.compare, strategies=["unimodal", "concat"], seeds=1, budget={"epochs": 1}, workers=1)
    monkeypatch.setattr(fusionbench, "compare", small)
    monkeypatch.setenv("FUSIONBENCH_DATA", str(folder / "data"))
    monkeypatch.chdir(folder)
    exec(compile(BLOCKS[name], "coming_from.md", "exec"), given)
    result = given["result"]
    assert isinstance(result, Results)
    assert set(result.counts) == {"done"}, result.table()
    frame = fusionbench.load_results(folder / "results")
    return result, frame[frame["strategy"] == "concat"].iloc[0]


def test_each_takes_ten_lines_at_most() -> None:
    assert list(BLOCKS) == ["a plain loop", "MultiBench", "fusilli"]
    assert all(block.count("\n") <= 10 for block in BLOCKS.values())


def test_a_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = TensorDataset(*map(torch.from_numpy, (IMAGES, VECTORS, LABELS)))
    _, record = ran("a plain loop", tmp_path, monkeypatch, dataset=dataset)
    assert record["train_rows"] + record["validation_rows"] + record["test_rows"] == ROWS
    assert "is the best fusion" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [(), (1,)], ids=["a number", "a row of one"])
def test_the_loaders_of_multibench(shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of [modality, modality, label] behind a DataLoader, as its avmnist has; labels of its affect are (n, 1)."""
    rows = [[IMAGES[i], VECTORS[i], LABELS[i].reshape(shape)] for i in range(ROWS)]
    parts: dict[str, Any] = {"train": rows[:40], "valid": rows[40:48], "test": rows[48:]}
    given = {name: DataLoader(part, batch_size=8) for name, part in parts.items()}
    _, record = ran("MultiBench", tmp_path, monkeypatch, **given)
    assert record["test_rows"] == 12
    assert record["metric"] == "accuracy"


def test_the_files_of_fusilli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"person{i}" for i in range(ROWS)]
    for number in (1, 2):
        table = pd.DataFrame(VECTORS[:, :3] * number, columns=["a", "b", "c"])
        table.assign(ID=names, prediction_label=LABELS).to_csv(tmp_path / f"{number}.csv", index=False)
    torch.save(torch.from_numpy(IMAGES), tmp_path / "image.pt")
    paths = {"tabular1": "1.csv", "tabular2": "2.csv", "image": "image.pt"}
    _, record = ran("fusilli", tmp_path, monkeypatch, data_paths=paths, test_indices=[1, 2, 3, 4, 58, 59])
    assert record["test_rows"] == 6
    assert record["metric"] == "accuracy"
