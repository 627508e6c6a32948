"""The tables for a paper by their structure: environments, columns, marks, captions; what `report` prints of them."""

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
from fusionbench.core.errors import UserError
from fusionbench.report.latex import LONG, latex, short_caption
from fusionbench.report.making import made_report
from fusionbench.report.paper_columns import half_text, known_columns, mean_text, paper_columns
from fusionbench.report.tables import Table, tables
from fusionbench.report.typeset import breakable, escaped, sentence
from fusionbench.report.write import printed, write_report
from fusionbench.stats.estimate import Estimate

MEANS = {"chance": 0.1, "unimodal+modality=left": 0.87, "unimodal+modality=right": 0.86, "low_rank": 0.96}
MEDIANS = dict(zip(MEANS, (0.02, 0.31, 0.312, 0.635), strict=True))
NASTY = "RuntimeError: 50% of a_b & {x} at #3 costs $5 ~ \\frac^2 <|> `cat` «é» 模型…\nsecond line"


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


def many(folder: Path) -> Bench:
    bench = filled(folder)
    rows = [replace(row, dataset=row.dataset) for row in bench.suite.rows]
    more = [replace(row, strategy=replace(row.strategy, options={"rank": at})) for row in rows[-1:] for at in range(50)]
    bench.suite = replace(bench.suite, rows=(*rows, *more))
    return bench


def made_up(mean: float, half_width: float | None, n: int) -> Estimate:
    return Estimate(mean, half_width, n, None, None)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def rows(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.endswith(r" \\")]


def depths(text: str) -> list[int]:
    """How many braces are open after each line."""
    bare = re.sub(r"\\[{}]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    return [bare[: end + 1].count("{") - bare[: end + 1].count("}") for end, sign in enumerate(bare) if sign == "\n"]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bench", [filled, failing, many])
def test_environments_and_braces_are_balanced(bench: Callable[[Path], Bench], wide: bool, tmp_path: Path) -> None:
    text = latex(one(bench(tmp_path)), wide=wide)
    opened: list[str] = []
    for word, name in re.findall(r"\\(begin|end)\{([^}]*)\}", text):
        if word == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    assert min(depths(text)) == 0
    assert depths(text)[-1] == 0


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bench", [filled, failing])
def test_every_row_has_as_many_cells_as_there_are_columns(
    bench: Callable[[Path], Bench], wide: bool, tmp_path: Path
) -> None:
    table = one(bench(tmp_path))
    text = latex(table, wide=wide)
    (spec,) = re.findall(r"\\begin\{tabular\}\{@\{\}(.*)@\{\}\}$", text, re.MULTILINE)
    count = len(re.sub(r"@\{[^}]*\}|\[[^\]]*\]", "", spec).replace(" ", ""))
    heads, body = (rows(part) for part in text.split(r"\midrule"))
    assert {len(row) for row in body} == {count}
    assert len(body) == len(table.rows)
    for head in heads:
        spans = [int(found[1]) if (found := re.match(r"\\multicolumn\{(\d)\}", cell)) else 1 for cell in head]
        assert sum(spans) == count


def test_a_narrow_table_has_name_score_parameters_and_latency(tmp_path: Path) -> None:
    table = one(filled(tmp_path))
    text = latex(table)
    assert r"\begin{table}" in text
    heads = [[re.sub(r"\\multicolumn\{\d\}\{c\}|[{}]", "", cell) for cell in row] for row in rows(text)[:2]]
    assert heads == [
        ["Strategy", r"Accuracy $\uparrow$", r"Params $\downarrow$", r"Time $\downarrow$"],
        ["", "", "(k)", "(ms)"],
    ]
    assert rows(text)[2][0] == "LMF"
    assert "0.645" in rows(text)[2]
    assert r"\begin{table*}" in latex(table, wide=True)


def test_more_rows_than_a_page_has_are_a_longtable_that_leaves_two_columns_for_itself(tmp_path: Path) -> None:
    table = one(many(tmp_path))
    assert len(table.rows) > LONG
    text = latex(table)
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert r"\begin{table" not in text
    assert text.index(r"\onecolumn") < text.index(r"\begin{longtable}") < text.index("\n\\fusionbenchback")


def test_the_best_row_alone_is_bold(tmp_path: Path) -> None:
    text = latex(one(filled(tmp_path)))
    (line,) = [line for line in text.splitlines() if r"\bfseries" in line]
    assert re.match(r"LMF & \\bfseries 0\.9\d+ & \$\\pm\$ & \\bfseries 0\.\d+ & \d", line)
    single = make(tmp_path / "single", "late", "concat", seeds=1)
    single.fill({"late": 0.8, "concat": 0.9})
    (line,) = [line for line in latex(one(single)).splitlines() if r"\bfseries" in line]
    assert re.match(r"Concat & \\bfseries 0\.\d{4} & \d", line)


def test_columns_are_chosen_by_name_and_an_unknown_one_is_one_line(tmp_path: Path) -> None:
    table = one(filled(tmp_path))
    assert {"strategy", "score", "accuracy", "nll", "parameters", "latency64", "seeds"} <= set(known_columns(table))
    heads = [column.heading for column in paper_columns(table, ["seeds", "strategy", "nll", "fidelity"])]
    assert heads == ["Seeds", "Strategy", r"NLL $\downarrow$", "Fidelity"]
    with pytest.raises(UserError, match=r"--columns: no column 'parametres'; did you mean 'parameters'\?"):
        paper_columns(table, ["parametres"])
    with pytest.raises(UserError, match="--columns: a column is named twice"):
        paper_columns(table, ["nll", "nll"])


@pytest.mark.parametrize(
    ("found", "mean", "half"),
    [
        (made_up(0.97949, 0.0058, 6), "0.979", "0.006"),
        (made_up(2.302571, 0.00003, 6), "2.3026", "0.0001"),  # Never 0.0000: at most one of the last decimal.
        (made_up(0.999837, 0.00026, 6), "0.9998", "0.0003"),
        (made_up(0.5, 0.0, 6), "0.5000", ""),
        (made_up(0.9123, None, 1), "0.9123", ""),
        (made_up(-0.0131, 0.012, 6), "-0.013", "0.012"),
    ],
)
def test_decimals_are_those_that_the_interval_allows(found: Estimate, mean: str, half: str) -> None:
    assert (mean_text(found), half_text(found)) == (mean, half)


def test_numbers_of_a_column_have_one_unit_which_its_heading_names(tmp_path: Path) -> None:
    bench = make(tmp_path, "chance", "concat", "gated", "late", seeds=1)
    for run, size in zip(bench.runs(), (0, 1_600_000, 94_000, 2_310_000), strict=True):
        bench.done(run, 0.9)
        bench.size(run, size)
    (column,) = paper_columns(one(bench), ["parameters"])
    assert (column.heading, column.unit) == (r"Params $\downarrow$", "(M)")
    assert column.specs == ("S[table-format=1.2]",)
    assert [cell for (cell,) in column.cells] == ["0", "1.60", "0.09", "2.31"]


@pytest.mark.parametrize("seeds", [1, 6])
def test_the_caption_says_what_a_number_is_in_few_words(tmp_path: Path, seeds: int) -> None:
    bench = make(tmp_path, "concat", "late", seeds=seeds)
    bench.fill({"concat": 0.9, "late": 0.8})
    words = " ".join(short_caption(one(bench)))
    assert words.startswith("Digits: accuracy" + (", 1 seed." if seeds == 1 else " ± 95 % half-width ("))
    assert len(words) < 150


def test_a_row_with_runs_that_failed_is_marked_and_the_caption_explains_it(tmp_path: Path) -> None:
    text = latex(one(failing(tmp_path)))
    assert "\nLMF\\# & " in text
    assert "\\#: some runs failed." in text
    assert "RuntimeError" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("50 % & #1", r"50\,\% \& \#1"),
        ("{x}^2", r"\{x\}\textasciicircum{}2"),
        ("\\n~", r"\textbackslash{}n\textasciitilde{}"),
        ("1 ± 2 ●", r"1 $\pm$ 2 $\bullet$"),
        ("naïve 模", "naïve ?"),
        ("tab\there", "tab?here"),
        ('say "x"', "say ''x''"),
    ],
)
def test_what_latex_would_take_for_a_command_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_a_line_may_end_within_a_long_name_and_not_within_a_number() -> None:
    assert breakable("unimodal+modality=left_half") == (
        r"unimodal+\allowbreak{}modality=\allowbreak{}left\_\allowbreak{}half"
    )
    assert breakable("+0.081, 1,295") == "+0.081, 1,295"
    assert sentence("run `a_b` now") == r"run \texttt{a\_\allowbreak{}b} now"


def test_labels_have_only_letters_digits_and_hyphens_and_differ(tmp_path: Path) -> None:
    first = latex(one(filled(tmp_path / "a")))
    other = make(tmp_path / "b", "chance", dataset="{name: synthetic_pid, options: {relation: synergy}}")
    labels = re.findall(r"\\label\{tab:([^}]*)\}", first + latex(one(other)))
    assert labels == ["mine-digits-same-encoders", "mine-synthetic-pid-synergy-same-encoders"]


def test_the_same_records_give_the_same_bytes_in_the_file(tmp_path: Path) -> None:
    first, second = filled(tmp_path / "a"), filled(tmp_path / "b")
    texts = [
        next(path for path in write_report(bench.suite, bench.store, draw=False) if path.name == "table.tex")
        for bench in (first, second, first)
    ]
    assert texts[0].read_bytes() == texts[1].read_bytes() == texts[2].read_bytes() == latex(one(first)).encode()


def suite_file(folder: Path) -> Path:
    path = folder / "mine.yaml"
    path.write_text("name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, low_rank]\nseeds: 3\n")
    return path


def reported(folder: Path, *words: str) -> int:
    arguments = ["report", str(suite_file(folder)), "--results", str(folder / "results"), "--no-pictures", *words]
    return main(arguments)


@pytest.mark.parametrize(("form", "file"), [("md", "table.md"), ("latex", "table.tex"), ("csv", "table.csv")])
def test_report_prints_one_form_alone(form: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path)
    assert reported(tmp_path, "--format", form) == 0
    out = capsys.readouterr().out
    expected = (tmp_path / "results" / "mine" / "digits" / file).read_text(encoding="utf-8")
    if form == "md":
        expected = re.sub(r"More on the order: .*\n", "", expected)
    assert out == expected


def test_report_prints_the_wide_table_and_the_columns_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path)
    assert reported(tmp_path, "--format", "latex", "--wide") == 0
    wide = capsys.readouterr().out
    assert wide == (tmp_path / "results" / "mine" / "digits" / "table_wide.tex").read_text(encoding="utf-8")
    assert reported(tmp_path, "--format", "latex", "--columns", "strategy, fidelity") == 0
    assert rows(capsys.readouterr().out)[0] == ["Strategy", "Fidelity"]


@pytest.mark.parametrize("words", [["--wide"], ["--columns", "nll"], ["--format", "csv", "--wide"]])
def test_what_shapes_a_papers_table_asks_for_latex(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(tmp_path, *words) == 2
    assert capsys.readouterr().err == (
        "fusionbench: --columns and --wide shape the table for a paper: --format latex\n"
    )


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
    read = list(csv.DictReader(io.StringIO(printed(made_report(bench.suite, bench.store, draw=False), "csv"))))
    assert [line["dataset"] for line in read] == ["digits", "digits", "wdbc", "wdbc"]
    assert [line["test/extra_mean"] for line in read] == ["", "", "0.5", "0.5"]


def test_differences_that_are_not_zero_have_a_star_which_the_wide_caption_explains(tmp_path: Path) -> None:
    bench = make(tmp_path, "unimodal", "late", "concat", seeds=6)
    bench.fill({"unimodal+modality=left": 0.6, "unimodal+modality=right": 0.5, "late": 0.8, "concat": 0.9}, sd=0.001)
    table = one(bench)
    text = latex(table, wide=True)
    concat = next(row for row in rows(text) if row[0] == "Concat")
    assert concat.count("*") == 1  # These records have no validation scores to pick a single modality by.
    assert any(re.fullmatch(r"\+0\.\d+", cell) for cell in concat)
    assert "* not 0 at .05 (Holm)." in text
    assert "Holm" not in latex(table)


def test_what_is_not_told_apart_from_the_best_has_the_sign_of_its_family(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "sum", "late", seeds=6, more="families: [{name: all, rows: [concat, sum, late]}]")
    for place, run in enumerate(bench.runs()):
        by = {"concat": 0.9, "sum": 0.8999, "late": 0.7}[run.strategy.name]
        bench.done(run, by + 0.002 * ((place * 7) % 5))
    text = latex(one(bench))
    assert [row[0] for row in rows(text) if r"\dag{}" in row] == ["Sum", "Concat"]
    assert r"\bfseries" not in text  # Their order is not seen to hold, so neither is called the best.
    assert r"\dag{} not told apart from the highest of 3 tested." in text
