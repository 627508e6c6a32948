"""Strategies by datasets: every cell is that dataset's own number, and what did not end well is said."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean

import pytest
from made_up_suite import Bench

from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store
from fusionbench.report.write import write_report

SUITE = "name: two\nseeds: 2\ndatasets: [digits, wdbc]\nstrategies: [unimodal, late, concat]"
SCORES = {"late": (0.7, 0.8), "concat": (0.9, 0.8), "unimodal": (0.5, 0.5)}


def filled(folder: Path) -> Bench:
    suite = suite_of(parse_source(SUITE, "two.yaml"))
    bench = Bench(suite, Store(folder / "results", suite.name))
    for run in bench.runs():
        if run.dataset.name == "wdbc" and run.strategy.name == "late" and run.seed == 1:
            bench.ended(run, "diverged", "loss is nan")
        else:
            bench.done(run, score_of(run))
    return bench


def score_of(run: RunSpec) -> float:
    return SCORES[run.strategy.name][run.seed] - 0.1 * (run.dataset.name == "wdbc")


def test_every_cell_is_the_datasets_own_number(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    paths = {path.name: path for path in write_report(bench.suite, bench.store) if path.parent == bench.store.root}
    assert set(paths) == {"overview.md", "overview.csv", "checklist.tex"}
    lines = paths["overview.md"].read_text().splitlines()
    cells = {
        line.split(" | ")[0].strip("| `"): line.removeprefix("| ").removesuffix(" |").split(" | ")[3:]
        for line in lines
        if "`" in line
    }
    assert cells["concat"][0].startswith("**0.85 ± ")
    assert cells["concat"][1].startswith("**0.75 ± ")
    assert cells["late"][1] == "0.6000 (1 diverged)"
    assert cells["unimodal+modality=left"][1].strip() == ""  # wdbc has no such modality.
    assert any("Accuracy: mean ± half-width of the 95 % interval over 1 to 2 seeds." in line for line in lines)
    for row in csv.DictReader(paths["overview.csv"].read_text().splitlines()):
        runs = [
            run
            for run in bench.runs(row["strategy"])
            if run.dataset.name == row["dataset"]
            and not (row["strategy"] == "late" and row["done"] == "1" and run.seed)
        ]
        assert float(row["mean"]) == mean(map(score_of, runs))


def test_a_results_folder_that_is_named_from_here_gets_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = filled(tmp_path)
    expected = [path.relative_to(tmp_path) for path in write_report(bench.suite, bench.store)]
    monkeypatch.chdir(tmp_path)
    assert write_report(bench.suite, Store(Path("results"), bench.suite.name)) == expected


def test_a_suite_of_one_dataset_needs_none(tmp_path: Path) -> None:
    suite = suite_of(parse_source("name: one\nseeds: 1\ndatasets: [digits]\nstrategies: [concat]", "one.yaml"))
    bench = Bench(suite, Store(tmp_path, suite.name))
    bench.done(bench.runs()[0], 0.5)
    assert not [path for path in write_report(bench.suite, bench.store) if "overview" in path.name]
