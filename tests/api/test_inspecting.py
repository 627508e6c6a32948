"""`fusionbench inspect`: what it prints, and the suite that it writes, which plans and trains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionbench.cli.main import main
from fusionbench.plan.dataset_choice import modality_kinds
from fusionbench.plan.load import load_suite


def table(path: Path, changes: dict[str, Any] | None = None, rows: int = 60) -> Path:
    """Texts, numbers, a city and a diagnosis, in CSV."""
    lines = []
    for row in range(rows):
        cells = {
            "age": 20 + row % 50,
            "city": ("Rome", "Oslo")[row % 2],
            "note": "" if row % 9 == 0 else f"is {('well', 'tired')[row % 2]} since {row} days",
            "diagnosis": ("yes", "no")[row % 2],
            **{name: value(row) for name, value in (changes or {}).items()},
        }
        lines.append(cells)
    text = [",".join(lines[0]), *(",".join(map(str, line.values())) for line in lines)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_says_what_a_table_holds_and_writes_a_suite_that_trains(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(here / "people.csv")
    assert main(["inspect", "people.csv", "--write", "people.yaml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("people.csv: 60 rows, 4 columns\n")
    for line in (
        " age        number           0  20 to 69, mean 41.17",
        " city       category         0  2 different: Rome 50%, Oslo 50%",
        " note       tokens           7  texts of 21 characters, at most 22; 53 different",
        " diagnosis  label            0  2 different: yes 50%, no 50%",
        "Task: multiclass, by diagnosis.",
        "2 classes: yes 30 (50.0%), no 30 (50.0%)",
        "written: people.yaml; next: fusionbench run people.yaml",
    ):
        assert line in out.splitlines()
    suite = load_suite("people.yaml")
    assert modality_kinds(suite.datasets[0]) == {"note": "tokens", "table": "vector"}
    (here / "data").mkdir()
    words = ["--data", "data", "--only", "strategy=concat", "--set", "budget.epochs=1", "--set", "seeds=1"]
    assert main(["run", "people.yaml", *words, "--set", "measures=[]"]) == 0


def test_a_suite_that_is_there_is_left_alone_and_a_table_without_a_label_makes_none(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(here / "people.csv")
    (here / "people.yaml").write_text("mine")
    assert main(["inspect", "people.csv", "--write", "people.yaml"]) == 2
    assert "people.yaml is there already; name another file, or remove it" in capsys.readouterr().err
    assert (here / "people.yaml").read_text() == "mine"
    table(here / "other.csv", {"diagnosis": lambda row: f"x{row}"})
    assert main(["inspect", "other.csv", "--label", "nothing"]) == 2
    assert "other.csv: no column 'nothing'" in capsys.readouterr().err
    (here / "bare.csv").write_text("a,b\n" + "".join(f"{row}.5,is {row}\n" for row in range(60)))
    assert main(["inspect", "bare.csv", "--write", "bare.yaml"]) == 2
    told = capsys.readouterr()
    assert "No label: no column is called so, and none looks like one; --label names it." in told.out
    assert "bare.csv: no column is called label, and none looks like one; name it with --label" in told.err
    assert main(["inspect", "bare.csv", "--label", "b", "--write", "bare.yaml"]) == 2
    assert "bare.csv: 1 modality; to be fused there must be at least 2" in capsys.readouterr().err
    assert main(["inspect", "nowhere.csv"]) == 2
    assert "inspect: no file 'nowhere.csv' in" in capsys.readouterr().err
    assert not (here / "bare.yaml").exists()


def test_faults_are_counted_and_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"split": lambda row: ("train", "train", "test")[row % 3], "note": lambda row: f"note {row // 3}"}
    table(here / "people.csv", {**changes, "diagnosis": lambda row: "rare" if row == 2 else ("", "no", "yes")[row % 3]})
    with (here / "people.csv").open("a") as file:
        file.writelines(f"{row},Rome\n" for row in range(7))
        file.write("1,Rome,x,yes,spare\n")
    assert main(["inspect", "people.csv"]) == 0
    out = capsys.readouterr().out
    for line in (
        "No label in 20 rows: fill them in, or leave the rows out.",
        "Parts: train 40, validation 0, test 20.",
        "1 rows are of no part: column 'split' holds something else there.",
        "2 classes that train lacks, such as 'rare'.",
        "1 classes have fewer than 3 rows, one for each part, such as 'rare'.",
        "Equal contents: 20 rows of test have the same 'note' as some of train, such as lines 4 and 2.",
        "7 rows cannot be read:",
        "  people.csv, line 62: 2 cells, the header has 5; a cell that holds ',' has to stand in quotation marks",
        "  and 2 more",
    ):
        assert line in out.splitlines()


def test_one_class_one_row_and_many_classes_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(here / "one.csv", {"diagnosis": lambda row: "yes"})
    assert main(["inspect", "one.csv"]) == 0
    assert "All rows are of one class: there is nothing to tell apart." in capsys.readouterr().out
    table(here / "row.csv", rows=1)
    assert main(["inspect", "row.csv"]) == 0
    assert "row.csv: 1 rows, 4 columns" in capsys.readouterr().out
    table(here / "many.csv", {"diagnosis": lambda row: f"x{row // 2}"})
    assert main(["inspect", "many.csv"]) == 0
    assert "30 classes: x0 2 (3.3%)" in capsys.readouterr().out


def test_many_numbers_are_one_modality_and_odd_names_are_columns_of_other_ones(here: Path) -> None:
    pixels = {f"px_{number}": lambda row, number=number: row * number % 7 for number in range(12)}
    table(here / "odd.csv", {**pixels, "a.note": lambda row: f"text {row}", "label": lambda row: "ab"[row % 2]})
    assert main(["inspect", "odd.csv", "--write", "odd.yaml", "--kind", "multiclass"]) == 0
    options = yaml.safe_load((here / "odd.yaml").read_text())["datasets"][0]["options"]
    assert options["columns"] == {
        "age": "number",
        "city": "category",
        "note": "tokens",
        "diagnosis": "category",
        "a_note": {"kind": "tokens", "column": "a.note"},
        "px": {"kind": "vector", "numbers": ["px_*"]},
    }
    assert options["label"] == "label"
    assert set(modality_kinds(load_suite("odd.yaml").datasets[0])) == {"note", "a_note", "px", "table"}


def test_what_the_user_says_stands_in_the_suite(here: Path) -> None:
    table(here / "people.csv", {"diagnosis": lambda row: f"{row % 2};{row % 3}", "who": lambda row: row // 3})
    text = (here / "people.csv").read_text().replace(";", "/").replace(",", ";")
    (here / "people.csv").write_text(text, encoding="latin-1")
    words = ["--separator", "/", "--kind", "multilabel", "--group", "who", "--encoding", "latin-1", "--delimiter", ";"]
    assert main(["inspect", "people.csv", "--write", "s.yaml", *words]) == 0
    (dataset,) = load_suite("s.yaml").datasets
    stated = {name: dataset.options[name] for name in ("kind", "separator", "group", "encoding", "delimiter")}
    assert list(stated.values()) == ["multilabel", "/", "who", "latin-1", ";"]


def test_it_loads_no_torch(here: Path) -> None:
    table(here / "people.csv")
    code = (
        "import sys\nfrom fusionbench.cli.main import main\n"
        "assert main(['inspect', 'people.csv', '--write', 's.yaml']) == 0\n"
        "print([name for name in ('torch', 'lightning', 'pandas', 'pyarrow', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_terminal_codes_of_a_table_are_not_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(here / "people.csv", {"\x1b[31mred": lambda row: f"\x1b[2J{row % 2}"})
    assert main(["inspect", "people.csv"]) == 0
    assert "\x1b" not in capsys.readouterr().out
