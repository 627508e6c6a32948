"""A network of a script or a notebook is compared where it stands; workers never run the program that called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, widths, classes, hidden=8):
        super().__init__()
        self.map = nn.Sequential(nn.Linear(sum(widths.values()), hidden), nn.Tanh(), nn.Linear(hidden, classes))

    def forward(self, vectors):
        return self.map(torch.cat(list(vectors.values()), 1))
"""
CALL = """
import numpy as np
import fusionbench

print("once")
rng = np.random.default_rng(0)
inputs = {"a": rng.normal(size=(200, 3)), "b": rng.normal(size=(200, 3))}
targets = (inputs["a"][:, 0] > 0).astype(int)
strategies = ["concat", Net, {"name": Net, "options": {"hidden": 4}}]
result = fusionbench.compare(inputs, targets, strategies=strategies, seeds=1, budget={"epochs": 1}, workers=1)
"""
SHOWN = """
frame = result.frame().set_index("strategy")
print(sorted(frame.index), dict(result.counts), int(frame.loc["WHERE.Net", "fusion_parameters"]))
print(result.table())
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return tmp_path


def check(shown: str, where: str) -> None:
    first, said, *table = shown.splitlines()
    names = sorted(["concat", f"{where}.Net", f"{where}.Net+hidden=4"])
    count = (2 * 64 + 1) * 8 + (8 + 1) * 2
    assert first == "once"
    assert said == f"{names} {{'done': 3}} {count}"
    assert sum("own, contract not run" in line for line in table) == 2


def test_one_of_a_script(folder: Path) -> None:
    (folder / "study.py").write_text(NETWORK + CALL + SHOWN.replace("WHERE", "study"))
    done = subprocess.run([sys.executable, "study.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(done.stdout, "study")


@pytest.mark.filterwarnings("default")  # What the kernel's client warns of is its own.
def test_one_of_a_notebook(folder: Path) -> None:
    cells = [NETWORK, CALL.replace("workers=1", "workers=1, progress=False"), SHOWN.replace("WHERE", "notebook")]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=280, resources={"metadata": {"path": str(folder)}}).execute()
    check("".join(output.text for cell in book.cells for output in cell.outputs), "notebook")


def test_one_of_a_program_without_a_text_says_the_way_out() -> None:
    code = NETWORK + CALL
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Net: its source cannot be read here; put it in a file" in done.stderr
    assert done.stdout == "once\n"
