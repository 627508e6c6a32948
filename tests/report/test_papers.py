"""What goes into a paper, compiled: every published suite in an article of two columns, and what the log says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_suite import make

from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.checklist import checklist, took
from fusionbench.report.latex import latex, short_caption
from fusionbench.report.macros import camel, macros
from fusionbench.report.methods import methods
from fusionbench.report.tables import Table, tables
from fusionbench.report.typeset import escaped, sentence

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted(folder.name for folder in (ROOT / "results").iterdir() if folder.is_dir())
SMALLEST = 7 * 72 / 72.27
"""Seven of TeX's points in those of PDF."""
PREAMBLE = r"""\documentclass[twocolumn]{article}
\pdfcompresslevel=0 \pdfobjcompresslevel=0
\usepackage{booktabs,siunitx,longtable}
\newcommand{\lines}[1]{\setbox0\vbox{\hsize\columnwidth\noindent Table 99: #1\par
  \global\count255\prevgraf}\typeout{CAPTION \the\count255}}
\begin{document}
"""
NO_TEX = (
    "there is no pdflatex with siunitx here; on Debian: "
    "apt-get install --no-install-recommends texlive-latex-recommended texlive-science"
)


def has_tex() -> bool:
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    asked = ["kpsewhich", "siunitx.sty", "booktabs.sty", "longtable.sty"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


tex = pytest.mark.skipif(not has_tex(), reason=NO_TEX)


def compiled(body: str, folder: Path) -> tuple[str, bytes]:
    """Log and PDF of an article; longtable needs a second pass."""
    (folder / "paper.tex").write_text(f"{PREAMBLE}{body}\n\\end{{document}}\n", encoding="utf-8")
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=240,
        )
        log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
        assert done.returncode == 0, re.findall(r"^! .*|^l\.\d+ .*", log, re.MULTILINE)
    return log, (folder / "paper.pdf").read_bytes()


def faults(log: str) -> list[str]:
    return re.findall(r"Overfull \\[hv]box .*|LaTeX Warning: Float too large.*|LaTeX Font Warning: .*", log)


def all_of(suite: Suite, found: list[Table]) -> str:
    """Everything that a suite has for a paper, once each."""
    parts = [macros(table) for table in found]
    for table in found:
        wide = latex(table, wide=True).replace(r"\label{tab:", r"\label{tab:wide-")
        caption = " ".join(map(sentence, short_caption(table)))
        parts += [latex(table), wide, methods(table), rf"\lines{{{caption}}}", r"\clearpage"]
    return "\n\n".join([*parts, checklist(suite, found, [one for table in found for one in took(table)])])


@tex
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_suite_fits_an_article_of_two_columns(name: str, tmp_path: Path) -> None:
    suite = load_suite(name)
    found = list(tables(suite, Store(ROOT / "results", name)))
    log, pdf = compiled(all_of(suite, found), tmp_path)
    assert faults(log) == []
    sizes = [float(size) for size in re.findall(rb"/F\d+ ([\d.]+) Tf", pdf)]
    assert len(sizes) > 20
    assert min(sizes) >= SMALLEST
    lines = [int(count) for count in re.findall(r"CAPTION (\d+)", log)]
    assert len(lines) == len(found)
    assert max(lines) <= 3


NAMES = ("gated", "low_rank", "unimodal", "late_learned", "hierarchical_attention", "unimodal_wide")


@tex
def test_forty_rows_of_the_longest_names_and_widest_numbers_fit_too(tmp_path: Path) -> None:
    bench = make(tmp_path, *NAMES, seeds=6)
    means = {row.strategy: 0.98765 for row in next(iter(tables(bench.suite, bench.store))).rows}
    bench.fill(means, sd=0.00021)
    bench.timed({name: 0.0123 * 3**at for at, name in enumerate(means)})
    (table,) = tables(bench.suite, bench.store)
    rows = [replace(row, front=bool(at % 2), best=at < 3) for at, row in enumerate(table.rows * 5)][:40]
    log, _ = compiled(
        all_of(bench.suite, [replace(table, rows=tuple(rows), title="Synthetic PID (unique a)")]), tmp_path
    )
    assert faults(log) == []


@tex
@pytest.mark.parametrize("done", [0, 1])
def test_a_suite_with_no_run_or_hostile_words_compiles(done: int, tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", seeds=2)
    nasty = "50% of a_b & {x} at #3 costs $5 ~ \\frac^2 <|> `cat` «é» 模型… \\input{/etc/passwd} \\end{table}"
    for run in bench.runs()[:2]:
        bench.ended(run, "failed", nasty)
    if done:
        bench.done(bench.runs()[2], 0.9, notes=[nasty], environment={"cpu": nasty})
    (table,) = tables(bench.suite, bench.store)
    log, _ = compiled(all_of(bench.suite, [replace(table, title="a_b \\x $1 {")]), tmp_path)
    assert "(/etc/passwd" not in log
    assert not re.search("^!", log, re.MULTILINE)


@tex
def test_every_letter_that_is_printed_as_itself_is_known_to_latex(tmp_path: Path) -> None:
    letters = "".join(chr(code) for code in range(0x21, 0x300))
    log, _ = compiled(
        rf"\sloppy {' '.join(map(escaped, letters))} \texttt{{{' '.join(map(escaped, letters))}}}", tmp_path
    )
    assert "Missing character" not in log


def test_the_numbers_are_those_of_the_table_and_every_name_is_letters(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "unimodal", seeds=3)
    bench.fill({"concat": 0.9, "unimodal+modality=left": 0.8, "unimodal+modality=right": 0.7})
    bench.timed({"concat": 0.5})
    (table,) = tables(bench.suite, bench.store)
    found = dict(re.findall(r"^\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}$", macros(table), re.MULTILINE))
    assert len(found) == len(macros(table).splitlines()) - 1
    assert found["fbMineDigitsSeeds"] == "3"
    assert found["fbMineDigitsBest"] == "Concat"
    assert found["fbMineDigitsConcatLatencyMs"] == "0.508"
    mean, half = re.findall(r"[\d.]+", found["fbMineDigitsUnimodalLeftAccuracy"])
    line = next(line for line in latex(table).splitlines() if line.startswith("Unimodal (left) & "))
    assert f"{mean} & $\\pm$ & {half} & " in line


def test_two_rows_whose_names_have_the_same_letters_have_two_names(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", seeds=1)
    bench.fill({"concat": 0.9, "late": 0.8})
    (table,) = tables(bench.suite, bench.store)
    rows = tuple(replace(row, title=title) for row, title in zip(table.rows, ("MMPareto", "MM-Pareto"), strict=True))
    names = re.findall(r"newcommand\{\\(\w+Accuracy)\}", macros(replace(table, rows=rows)))
    assert names == ["fbMineDigitsMMParetoAccuracy", "fbMineDigitsMMParetoNoTwoAccuracy"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [("CIFAR-10 (L | ab)", "CIFAROneZeroLAb"), ("youtube8m", "YoutubeEightM"), ("Größe 3", "GrEThree"), ("模", "")],
)
def test_a_command_has_letters_alone(words: str, expected: str) -> None:
    assert camel(words) == expected


def test_methods_name_strategies_as_the_table_does() -> None:
    table = next(iter(tables(load_suite("quickstart"), Store(ROOT / "results", "quickstart"))))
    text = methods(table)
    assert "Unimodal (left) 0." in text
    assert "unimodal+" not in text
    assert r"\ref{tab:quickstart-digits-same-encoders}" in text


def test_methods_say_once_what_several_rows_have_in_common(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", "gated", seeds=2)
    for run in bench.runs():
        if run.strategy.name == "gated":
            bench.ended(run, "failed", "out of memory")
        elif run.seed == 0:
            bench.done(run, 0.9, notes=["its weight did not settle"] if run.strategy.name == "concat" else [])
    lines = methods(next(iter(tables(bench.suite, bench.store)))).splitlines()
    assert "Concat, Late fusion: 1 missing (seed 1)." in lines
    assert "Concat: its weight did not settle." in lines
    assert "GMU: failed: out of memory." in lines


def test_the_checklist_is_filled_from_the_records(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", dataset="digits, cifar10", seeds=2)
    for run in bench.runs():
        bench.done(run, 0.9, environment={"cpu": "Acme 9", "gpu": "Bolt_1"}, train_seconds=1800.0, threads=2)
    found = list(tables(bench.suite, bench.store))
    text = checklist(bench.suite, found, [run for table in found for run in took(table)])
    assert text.count(r"\item {\bf ") == text.count(r"Answer: \answerYes{}") == 4
    assert (
        r"4 runs on Acme 9 and Bolt\_\allowbreak{}1, 2 threads and 1 device a run: 2.0 hours of training in all" in text
    )
    assert "20 epochs, batches of 128, peak learning rate 0.001" in text
    assert r"Digits~\cite{alpaydin1998digits}: licence CC BY 4.0 (scikit-learn)." in text
    assert r"CIFAR-10~\cite{krizhevsky2009learning}: licence none stated (https:/" in text
    one = make(tmp_path / "one", "concat", seeds=1)
    one.fill({"concat": 0.9})
    assert r"Answer: \answerNo{}" in checklist(one.suite, list(tables(one.suite, one.store)), [])
