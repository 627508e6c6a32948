"""The LaTeX table by its structure: environments, columns, escapes; and the forms that `report --format` prints."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_suite import Bench, make

from fusionbench.cli.main import main
from fusionbench.report.latex import escaped, latex
from fusionbench.report.layout import markdown
from fusionbench.report.tables import Table, tables
from fusionbench.report.write import printed, write_report

MEANS = {"chance": 0.1, "unimodal+modality=left": 0.87, "unimodal+modality=right": 0.86, "low_rank": 0.96}
MEDIANS = dict(zip(MEANS, (0.02, 0.31, 0.312, 0.635), strict=True))
NASTY = "RuntimeError: 50% of a_b & {x} at #3 costs $5 ~ \\frac^2 <|> `cat` «é» 模型…\nsecond line"
SPECIALS = re.compile(r"(?<!\\)[%#&_$^~{}]")


def filled(folder: Path) -> Bench:
    bench = make(folder, "chance", "unimodal", "low_rank")
    bench.fill(MEANS, sd=0.004)
    bench.timed(MEDIANS)
    return bench


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def failing(folder: Path) -> Bench:
    bench = filled(folder)
    bench.suite = replace(bench.suite, seeds=(0, 1, 2, 7))
    bench.ended(next(run for run in bench.runs("low_rank") if run.seed == 7), "failed", NASTY)
    return bench


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def rows(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.endswith(r" \\")]


def depths(text: str) -> list[int]:
    """How many braces are open after each line."""
    bare = re.sub(r"\\[{}]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    return [bare[: end + 1].count("{") - bare[: end + 1].count("}") for end, sign in enumerate(bare) if sign == "\n"]


@pytest.mark.parametrize("bench", [filled, failing])
def test_environments_and_braces_are_balanced(bench: Callable[[Path], Bench], tmp_path: Path) -> None:
    text = latex(one(bench(tmp_path)))
    opened: list[str] = []
    for word, name in re.findall(r"\\(begin|end)\{([^}]*)\}", text):
        if word == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    assert min(depths(text)) == 0
    assert depths(text)[-1] == 0
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


@pytest.mark.parametrize("bench", [filled, failing])
def test_every_row_has_as_many_cells_as_there_are_columns(bench: Callable[[Path], Bench], tmp_path: Path) -> None:
    table = one(bench(tmp_path))
    text = latex(table)
    (spec,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert {len(row) for row in rows(text)} == {len(spec)}
    assert len(rows(text)) == 1 + len(table.rows)


@pytest.mark.parametrize("bench", [filled, failing])
def test_no_special_character_stands_unescaped_in_words(bench: Callable[[Path], Bench], tmp_path: Path) -> None:
    text = latex(one(bench(tmp_path)))
    bare = re.sub(r"\$[^$\n]*(?<!\\)\$", "", text)  # without formulas
    bare = re.sub(r"\\(begin|end|label)\{[^}]*\}", "", bare)
    bare = re.sub(r"\\text[a-z]+\{\}|\\ldots\{\}|\\text(tt|bf)|\\caption|\\resizebox\{\\textwidth\}\{!\}", "", bare)
    words = [line for line in bare.splitlines() if not line.startswith("%") and not line.endswith(r"{%")]
    found = [sign for line in words for cell in cells(line) for sign in SPECIALS.findall(cell)]
    assert set(found) <= {"{", "}"}  # of \texttt{...}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("50 % & #1", r"50 \% \& \#1"),
        ("{x}^2", r"\{x\}\textasciicircum{}2"),
        ("\\n~", r"\textbackslash{}n\textasciitilde{}"),
        ("1 ± 2 ●", r"1 $\pm$ 2 $\bullet$"),
        ("naïve 模", "naïve ?"),
        ("tab\there", "tab?here"),
    ],
)
def test_what_latex_would_take_for_a_command_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_it_holds_the_numbers_of_the_markdown(tmp_path: Path) -> None:
    table = one(filled(tmp_path))
    lines = [line.strip("| ").split(" | ") for line in markdown(table).splitlines() if line.startswith("| ")]
    shown = [[re.sub(r"[`*]", "", cell.strip()) for cell in line] for line in (lines[0], *lines[2:])]
    read = []
    for row in rows(latex(table)):
        plain = [cell.replace(r"\pm", "±").replace(r"\_", "_").replace(r"\,", " ") for cell in row]
        plain = [re.sub(r"\\(texttt|textbf|mathbf)\{(.*)\}", r"\2", cell.replace("$", "")) for cell in plain]
        read.append([{r"\bullet": "●", "--": "-"}.get(cell, cell) for cell in plain])
    assert read == shown


def test_the_best_row_alone_is_bold(tmp_path: Path) -> None:
    text = latex(one(filled(tmp_path)))
    (line,) = [line for line in text.splitlines() if r"\mathbf" in line]
    assert line.startswith(r"\texttt{low\_rank} & $\mathbf{0.9")
    single = make(tmp_path / "single", "late", "concat", seeds=1)
    single.fill({"late": 0.8, "concat": 0.9})
    (line,) = [line for line in latex(one(single)).splitlines() if r"\textbf" in line]
    assert re.match(r"\\texttt\{concat\} & \\textbf\{0\.\d{4}\} & 0\.\d{4} & ", line)


def test_what_went_wrong_is_in_the_caption_and_not_a_column(tmp_path: Path) -> None:
    text = latex(one(failing(tmp_path)))
    assert "notes" not in text.split(r"\midrule")[0]
    (line,) = [line for line in text.splitlines() if line.startswith(r"\texttt{low\_rank}: 1 failed (seed 7: ")]
    assert r"50\% of a\_b \& \{x\} at \#3 costs \$5" in line
    assert "second line" in line


def test_labels_have_only_letters_digits_and_hyphens_and_differ(tmp_path: Path) -> None:
    first = latex(one(filled(tmp_path / "a")))
    other = make(tmp_path / "b", "chance", dataset="{name: synthetic_pid, options: {relation: synergy}}")
    labels = re.findall(r"\\label\{tab:([^}]*)\}", first + latex(one(other)))
    assert labels == ["mine-digits-same-encoders", "mine-synthetic-pid-relation-synergy-same-encoders"]


def test_the_same_records_give_the_same_bytes_in_the_file(tmp_path: Path) -> None:
    first, second = filled(tmp_path / "a"), filled(tmp_path / "b")
    texts = [
        next(path for path in write_report(bench.suite, bench.store) if path.name == "table.tex").read_bytes()
        for bench in (first, second, first)
    ]
    assert texts[0] == texts[1] == texts[2] == latex(one(first)).encode()


def suite_file(folder: Path) -> Path:
    path = folder / "mine.yaml"
    path.write_text("name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, low_rank]\nseeds: 3\n")
    return path


@pytest.mark.parametrize(("form", "file"), [("md", "table.md"), ("latex", "table.tex"), ("csv", "table.csv")])
def test_report_prints_one_form_alone(form: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path)
    assert main(["report", str(suite_file(tmp_path)), "--results", str(tmp_path / "results"), "--format", form]) == 0
    out = capsys.readouterr().out
    expected = (tmp_path / "results" / "mine" / "digits" / file).read_text(encoding="utf-8")
    assert out == (expected.partition("\n\n![")[0] + "\n" if form == "md" else expected)


def test_another_form_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", str(suite_file(tmp_path)), "--format", "word"])
    assert stop.value.code == 2
    assert "--format: invalid choice: 'word'" in capsys.readouterr().err


def test_csv_of_several_datasets_has_one_header(tmp_path: Path) -> None:
    bench = make(tmp_path, "chance", "concat", dataset="digits, wdbc", seeds=2)
    for run in bench.runs():
        more = {"test/extra": 0.5} if run.dataset.name == "wdbc" else {}
        bench.done(run, 0.9, scores={"test/accuracy": 0.9, **more})
    read = list(csv.DictReader(io.StringIO(printed(bench.suite, bench.store, "csv"))))
    assert [line["dataset"] for line in read] == ["digits", "digits", "wdbc", "wdbc"]
    assert [line["test/extra_mean"] for line in read] == ["", "", "0.5", "0.5"]
