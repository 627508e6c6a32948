"""A file to begin with keeps its contract as it stands, and never takes the place of another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionbench.cli.main import main
from fusionbench.core.catalogue import describe, forget
from fusionbench.core.errors import UserError
from fusionbench.core.plugin_places import PluginKind
from fusionbench.testing.contract import checks_of, outcome_of
from fusionbench.testing.new import new_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    forget()
    yield tmp_path
    forget()


@pytest.mark.parametrize("kind", ["strategy", "dataset", "encoder"])
def test_it_keeps_its_contract(kind: PluginKind, folder: Path) -> None:
    path, name = new_file(kind, f"begun/a_new_{kind}.py")
    assert name == path.as_posix() == f"begun/a_new_{kind}.py"
    assert describe(kind, name).attribute == f"ANew{kind.capitalize()}"
    found = [outcome_of(check) for check in checks_of(kind, name, folder / "data")]
    assert [one for one in found if one.state == "failed"] == []
    assert sum(one.state == "ok" for one in found) >= 5
    if kind != "encoder":  # This one reads vectors, which have no padding.
        assert all(one.state == "ok" for one in found)


def test_the_command_line_writes_it_and_says_what_is_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "encoder", "begun_here.waves"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "begun_here/waves.py: a file that keeps the contract as it stands; write yours in its place",
        "fusionbench contract begun_here.waves    whether it still does",
        "in a suite: encoders: {vector: begun_here.waves}",
    ]
    assert main(["contract", "begun_here.waves"]) == 0
    shown = capsys.readouterr().out
    assert "ok      every parameter gets a gradient\n" in shown
    assert shown.endswith("encoder begun_here.waves: 5 kept, 0 failed, 3 not asked\n")


def test_a_file_that_is_there_stays_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.py").write_text("kept = True\n")
    assert main(["new", "strategy", "mine"]) == 2
    assert "mine.py: there is a file already; give another name" in capsys.readouterr().err
    assert (folder / "mine.py").read_text() == "kept = True\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("class", "'class' is no name for a Python module"),
        ("a b", "is no name for a Python module"),
        ("mine.", "is no name for a Python module"),
        ("a-b.py", "is no name for a Python module"),
        ("json.mine", "Python finds another 'json' first"),
    ],
)
def test_a_name_that_python_cannot_import_is_refused(folder: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        new_file("strategy", name)
    assert list(folder.iterdir()) == []
