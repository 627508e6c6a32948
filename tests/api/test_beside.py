"""Strategies beside those of a suite: they alone are trained, and stand with the records that agree, or say why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fusionbench
from fusionbench.cli.main import main
from fusionbench.core.catalogue import forget
from fusionbench.core.errors import UserError

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, widths, classes):
        super().__init__()
        self.map = nn.Linear(sum(widths.values()), classes)

    def forward(self, left, right):
        return self.map(torch.cat([left, right], 1))
"""
SUITE: dict[str, Any] = {
    "name": "tiny",
    "datasets": ["digits"],
    "strategies": ["concat", "late"],
    "seeds": 2,
    "budget": {"epochs": 1},
    "measures": ["size", {"name": "latency", "options": {"seconds": 0.01}}],
}
HERE: dict[str, Any] = {"workers": 2, "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite's records, and its data."""
    folder = tmp_path_factory.mktemp("trained")
    fusionbench.run(SUITE, results=folder / "results", data=data_of(folder), **HERE)
    return folder


def data_of(folder: Path) -> Path:
    (folder / "data").mkdir(exist_ok=True)
    return folder / "data"


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)
    forget()
    return tmp_path


def records(folder: Path) -> dict[str, int]:
    found = (folder / "results").rglob("*.json")
    return {
        path.stem: path.stat().st_mtime_ns for path in found if "." not in path.stem and path.parent.name != "latency"
    }


def test_it_alone_is_trained_and_its_table_has_all_rows_timed_together(trained: Path, nets: Path) -> None:
    before = records(trained)
    result = fusionbench.run(
        SUITE, strategies="nets.py:Net", results=trained / "results", data=data_of(trained), **HERE
    )
    assert result.about == "digits: 4 of 4 records of the other rows are there."
    assert dict(result.counts) == {"done": 2}
    assert before.items() <= records(trained).items()
    assert len(records(trained)) == len(before) + 2
    (table,) = result.tables()
    assert {row.strategy for row in table.rows} == {"concat", "late", "nets.Net"}
    assert all(row.done == 2 for row in table.rows)
    assert table.latency is not None
    assert {strategy for strategy, *_ in table.latency.timings} == {"concat", "late", "nets.Net"}
    again = fusionbench.run(
        SUITE, strategies=["nets.py:Net"], results=trained / "results", data=data_of(trained), **HERE
    )
    assert again.table() == result.table()


def test_the_command_line_does_the_same_and_report_shows_it(
    trained: Path, nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nets / "tiny.yaml").write_text(json.dumps({**SUITE, "measures": ["size"]}))
    words = ["tiny.yaml", "--strategy", "nets.py:Net", "--results", str(trained / "results")]
    assert main(["run", *words, "--data", str(data_of(trained)), "--workers", "2"]) == 0
    assert "digits: 4 of 4 records of the other rows are there." in capsys.readouterr().out
    assert main(["plan", *words]) == 0
    assert capsys.readouterr().out.count("  digits  nets.Net\n") == 2
    assert main(["report", *words, "--no-pictures"]) == 0
    shown = capsys.readouterr().out
    assert "`nets.Net`" in shown
    assert "own, contract not run" in shown
    assert main(["report", *words[:1], *words[3:], "--no-pictures"]) == 0
    without = capsys.readouterr()
    assert "nets.Net" not in without.out + without.err


def test_another_protocol_is_said_field_by_field_before_anything_trains(trained: Path, nets: Path) -> None:
    other = {**SUITE, "budget": {"epochs": 1, "batch_size": 64}}
    before = records(trained)
    said = r"^digits: the records in .*tiny were made otherwise, .*: budget.batch_size 64, there 128"
    with pytest.raises(UserError, match=said) as error:
        fusionbench.run(other, strategies="nets.py:Net", results=trained / "results", data=data_of(trained), **HERE)
    assert "--results" in str(error.value)
    assert records(trained) == before


@pytest.mark.parametrize(("fact", "said"), [("fingerprint", "the data have changed"), ("split_sha256", "other rows")])
def test_other_data_or_another_split_are_refused(trained: Path, nets: Path, fact: str, said: str) -> None:
    folder = nets / "results" / "tiny" / "digits" / "concat"
    folder.mkdir(parents=True)
    for path in (trained / "results" / "tiny" / "digits" / "concat").glob("????????????.json"):
        record = json.loads(path.read_text())
        record["data"][fact] = "0" * 64
        (folder / path.name).write_text(json.dumps(record))
    with pytest.raises(UserError, match=said):
        fusionbench.run(SUITE, strategies="nets.py:Net", results=nets / "results", data=data_of(trained), **HERE)
    assert len(records(nets)) == 2


def test_without_any_record_it_is_trained_and_says_so(trained: Path, nets: Path) -> None:
    short = {**SUITE, "seeds": 1, "measures": []}
    result = fusionbench.run(short, strategies="nets.py:Net", results=nets / "results", data=data_of(trained), **HERE)
    assert "no record of the other rows is in" in result.about
    assert dict(result.counts) == {"done": 1}


@pytest.mark.parametrize("name", ["nets.py:Nett", "concatt", "no such"])
def test_a_wrong_name_says_by_which_option_it_came(nets: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (nets / "tiny.yaml").write_text(json.dumps(SUITE))
    assert main(["plan", "tiny.yaml", "--strategy", name]) == 2
    assert capsys.readouterr().err.startswith(f"fusionbench: --strategy {name}: ")
