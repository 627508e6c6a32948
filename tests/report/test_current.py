"""`check` holds tables, pages and the README against the records: what was edited or left behind is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fusionbench.cli.main import main
from fusionbench.report.current import PICTURE, stale_pages

ROOT = Path(__file__).parents[2]
BLOCK = "<!-- begin table quickstart digits -->\n{}<!-- end table quickstart digits -->\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A published suite whose tables are as this code makes them."""
    shutil.copytree(ROOT / "results" / "quickstart", tmp_path / "results" / "quickstart")
    assert main(["report", "quickstart", "--results", str(tmp_path / "results"), "--no-pictures"]) == 0
    (tmp_path / "docs").mkdir()
    rows = (tmp_path / "results/quickstart/digits/table.md").read_text(encoding="utf-8").splitlines(keepends=True)
    table = "".join(row for row in rows if row.startswith("|"))
    (tmp_path / "docs" / "page.md").write_text(BLOCK.format(table), encoding="utf-8")
    return tmp_path / "results"


def changed(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_what_was_edited_or_is_missing_is_a_line_each(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(results)]) == 0, capsys.readouterr().out
    capsys.readouterr()
    folder = results / "quickstart" / "digits"
    changed(folder / "table.md", "| `late` |", "| `later` |")
    changed(folder / "numbers.tex", "newcommand", "renewcommand")
    (folder / "seeds.csv").unlink()
    changed(results.parent / "docs" / "page.md", "`concat`", "`comcat`")
    (results.parent / "README.md").write_text("<!-- begin top 3 nowhere digits -->\n<!-- end top 3 nowhere digits -->")
    assert main(["check", str(results)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line.partition(": ")[0]).name for line in lines[:-1]] == [
        "table.md", "seeds.csv", "numbers.tex", "README.md", "page.md",
    ]  # fmt: skip
    assert "missing; `fusionbench report quickstart" in lines[1]
    assert "cannot be made" in lines[3]
    assert lines[-1].endswith("5 problems")


def test_what_stands_below_the_picture_of_a_search_is_not_looked_for_without_it() -> None:
    text = (ROOT / "results/quickstart_tuned/digits/tuned.md").read_text(encoding="utf-8")
    assert "Best of n: " in text
    assert "Best of n: " not in PICTURE.sub("", text)
    assert "Spread of the winner" in PICTURE.sub("", text)


def test_the_pages_of_this_repository_show_what_its_results_say() -> None:
    assert list(stale_pages(ROOT / "results")) == []
