"""The contract run by name: every check says what became of it, whatever the plug-in's own code does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusionbench.cli.main import main
from fusionbench.core.catalogue import forget
from fusionbench.core.errors import UserError
from fusionbench.testing.contract import Outcome, checks_of, outcome_of

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, widths, classes):
        super().__init__()
        self.left, self.right = (nn.Linear(widths[name], classes) for name in ("left", "right"))

    def forward(self, left, right):
        return self.left(left) + self.right(right)

class Batch(Net):
    def forward(self, left, right):
        return super().forward(left - left.mean(0), right)

class Dropped(Net):
    def forward(self, left, right):
        return self.left(left) + 0 * self.right(right)
"""
STRATEGY = '''"""Broken: says one thing and does another.

Parameters: 3
FLOPs: 1
Source: none.
"""

from fusionbench.fusion.base import FusionModule, Prediction
from fusionbench.fusion.blocks import mlp_head, stacked


class Broken(FusionModule):
    interaction = "some"

    def __init__(self, setting):
        super().__init__(setting)
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)

    def fuse(self, encoded):
        return Prediction(self.head(stacked(encoded)[0].flatten(1)))
'''
DATASET = """
import numpy as np
from pathlib import Path
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split

class Odd(MultimodalData):
    '''Odd.'''

    views = {"pair": {"a": "vector", "b": "vector"}}

    @property
    def task(self):
        return TaskSpec(tuple(ModalitySpec(name, "vector", (2,)) for name in "ab"), 2)

    def convert(self, folder):
        for name in "ab":
            np.save(folder / f"{name}.npy", np.random.default_rng().normal(size=(100, 2)))
        np.save(folder / "targets.npy", np.arange(100) % 2)

    def split(self):
        rows = np.random.default_rng(self.seed).permutation(100)
        return Split(rows[:60], rows[60:80], rows[80:])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "broken.py").write_text(STRATEGY)
    (tmp_path / "odd.py").write_text(DATASET)
    forget()
    yield tmp_path
    forget()


def found(*words: Any, only: str = "", **more: Any) -> dict[str, Outcome]:
    """By check, what became of it; of those alone that have some words in their names."""
    checks = [check for check in checks_of(*words, **more) if any(part in check.name for part in only.split("|"))]
    return {check.name: outcome_of(check) for check in checks}


def test_a_network_is_asked_what_a_network_can_be_asked() -> None:
    some = found(
        "strategy", "net.py:Net", modalities=("left", "right"), only="source|finite|matters|state_dict|XOR|head"
    )
    states = {name: one.state for name, one in some.items()}
    assert states == {
        "its source says what it does, its formula, counts and source": "skipped",
        "logits are finite for every kind and number of modalities": "ok",
        "each modality matters": "ok",
        "a state_dict brings back the model": "skipped",
        "heads start on a signal of size 0.3 to 3": "skipped",
        "a number of parameters is reached by the width of its head": "skipped",
        "XOR is learned as far as its fact `interaction` says": "skipped",
    }
    assert some["a state_dict brings back the model"].reason == "none of its tasks has 2 modalities"


def test_a_network_that_mixes_samples_or_forgets_a_modality_is_found() -> None:
    seen = found("strategy", "net.py:Batch", modalities=("left", "right"), only="does not see")
    (one,) = seen.values()
    assert one.state == "failed"
    assert one.reason.startswith("a sample depends on its batch mates: logits differ by")
    assert one.reason.endswith("(on multiclass of sequence and sequence)")
    (other,) = found("strategy", "net.py:Dropped", modalities=("left", "right"), only="matters").values()
    assert other.reason.startswith("'right' does not matter")


def test_a_network_that_knows_other_names_fails_and_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = found("strategy", "net.py:Net", only="finite").values()
    assert one.state == "failed"
    assert "KeyError: 'left' (net.py, line " in one.reason
    assert "Traceback" in one.trace


def test_a_strategy_that_does_not_do_what_it_says_is_found() -> None:
    some = found("strategy", "broken.py", only="its source|docstring|interaction|reached")
    assert {name: one.state for name, one in some.items()} == dict.fromkeys(some, "failed")
    reasons = [one.reason for one in some.values()]
    assert reasons[0] == "its fact interaction is 'some'; give one of none, limited, full"
    assert "parameters, formula 3.0 (on multiclass of image and image)" in reasons[1]


def test_a_data_set_that_draws_is_found(folder: Path) -> None:
    some = found("dataset", "odd.py", folder / "data")
    failed = {name: one.reason for name, one in some.items() if one.state == "failed"}
    assert list(failed) == [
        "its source says what it is, its modalities, licence and home",
        "converted anew, its arrays are the same",
        "test rows are its own, whatever the seed",
        "a suite plans it without importing it",
        "a strategy trains on it",
    ]
    reasons = list(failed.values())
    assert reasons[0] == "it states no licence"
    assert reasons[1] == "converted anew the arrays are others; does it draw, or read the time?"
    assert reasons[2] == "the seed moves the test rows: scores of two seeds would be of other rows"
    assert "has no encoder for its modality 'a'" in failed["a strategy trains on it"]


@pytest.mark.parametrize(
    "name", ["digits", "wdbc", "diabetes", "synthetic_pid", "synthetic_parity", "synthetic_regression"]
)
def test_the_data_sets_that_need_no_download_keep_it(name: str, folder: Path) -> None:
    relation = {"synthetic_pid": "synergy", "synthetic_regression": "product"}.get(name)
    options = {} if relation is None else {"relation": relation}
    some = found("dataset", name, folder / "data", options)
    assert {one.reason for one in some.values() if one.state != "ok"} == set()
    assert len(some) == 8


def test_the_command_line_ends_with_1_where_a_check_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "odd.py", "--data", str(folder)]) == 1
    shown = capsys.readouterr()
    assert "FAILED  converted anew, its arrays are the same: converted anew the arrays" in shown.out
    assert shown.out.endswith("dataset odd.py: 3 kept, 5 failed\n")
    assert shown.err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gatd"], "no plug-in 'gatd'; did you mean 'gated'"),
        (["gated", "--kind", "encoder"], "no encoder 'gated'"),
        (["net.py:Nett"], "no name in net.py called 'Nett'; did you mean 'Net'"),
        (["net.py"], "must hold exactly one public class derived from FusionModule"),
        (["net.py:Net", "--kind", "dataset"], "Net is no dataset; that is a class that names MultimodalData"),
        (["nowhere.py"], "no file nowhere.py"),
        (["no such"], "is no name; give a shipped one"),
        (["synthetic_pid"], "needs the option 'relation'"),
        (["digits", "--option", "view"], "--option view: give it as name=value"),
        (["digits", "--option", "vieuw=1"], "no option of dataset 'digits' called 'vieuw'; did you mean 'view'"),
    ],
)
def test_what_cannot_be_checked_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_a_measure_has_no_contract() -> None:
    with pytest.raises(UserError, match="only strategies, datasets and encoders have a contract"):
        checks_of("measure", "size")
