"""`fusionbench selftest`: a table, and one last line that says whether the machine is fine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusionbench.cli.main import main
from fusionbench.plan.load import load_suite

ACROSS = '''"""A loss over pairs of samples."""
from fusionbench.fusion.base import FusionModule, Prediction
from fusionbench.fusion.blocks import mlp_head, stacked


class Across(FusionModule):
    batch_level = "it pushes the samples of a batch apart"

    def __init__(self, setting):
        super().__init__(setting)
        self.head = mlp_head(2 * setting.width, setting)

    def fuse(self, encoded):
        return Prediction(self.head(stacked(encoded)[0].flatten(1)))

    def loss(self, prediction, batch):
        return super().loss(prediction, batch) - prediction.logits.std(0).mean()
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three strategies in place of all, one of them with a loss over the batch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_selftest").mkdir()
    (tmp_path / "mine_selftest" / "across.py").write_text(ACROSS)
    suite = {
        "name": "selftest",
        "datasets": ["digits"],
        "strategies": ["chance", "concat", "mine_selftest.across"],
        "seeds": 1,
        "encoders": {"image": {"name": "mlp", "options": {"width": 16}}},
        "budget": {"epochs": 2, "dropout": 0.2, "learning_rate": 3e-3},
        "measures": [],
    }
    (tmp_path / "small.yaml").write_text(json.dumps(suite))
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("fusionbench.cli.selftest.SUITE", str(tmp_path / "small.yaml"))


@pytest.mark.usefixtures("small")
def test_two_devices_are_compared_with_one_and_the_last_line_says_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--devices", "2", "--data", "data"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1] == "fine: 2 devices (gloo) give the test scores of one, to 1e-06"
    assert any(line.startswith("concat ") for line in lines)
    (across,) = [line for line in lines if line.startswith("mine_selftest.across ")]
    assert across.endswith("it pushes the samples of a batch apart")
    assert any("gloo" in line and "longer to start" in line for line in lines)


@pytest.mark.usefixtures("small")
def test_one_device_is_compared_with_itself_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--devices", "1", "--data", "data"]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1].endswith("byte for byte")


@pytest.mark.usefixtures("small")
def test_what_differs_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionbench.engines.selftest.CPU_TOLERANCE", -1.0)
    assert main(["selftest", "--devices", "2", "--data", "data"]) == 1
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("NOT fine: chance, concat;")
    assert "--devices 1" in last


@pytest.mark.parametrize("devices", ["0", "4096", "7"])
def test_devices_that_cannot_be_are_two_lines_at_most(devices: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--devices", devices]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2


def test_the_shipped_suite_has_every_strategy_and_dropout() -> None:
    suite = load_suite("selftest", [])
    assert suite.budget.dropout > 0
    assert all(not suite.budget.batch_size % devices for devices in (2, 3, 4, 5, 6, 8))
