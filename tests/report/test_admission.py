"""What a page begins with: rows that validation picks, their gains by hand, and which data are a sanity set."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from made_up_orders import bench_of, fill
from made_up_suite import Bench, make

from fusionbench.report.csvs import admission_csv
from fusionbench.report.layout import markdown
from fusionbench.report.methods import methods
from fusionbench.report.opening import opening
from fusionbench.report.tables import Table, tables
from fusionbench.report.write import write_report

SUITE = (
    "name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, late, unimodal_ensemble, concat, gated]\nseeds: 6\n"
)
LEFT, RIGHT = "unimodal+modality=left", "unimodal+modality=right"
MEANS = {"chance": 0.1, LEFT: 0.8, RIGHT: 0.81, "late": 0.85, "unimodal_ensemble": 0.84, "concat": 0.9, "gated": 0.91}
PICKED = {"chance": 0.1, LEFT: 0.9, RIGHT: 0.8, "late": 0.8, "unimodal_ensemble": 0.85, "concat": 0.95, "gated": 0.9}
"""On validation, where the order is another one."""


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def made(folder: Path, means: dict[str, float] | None = None, text: str = SUITE) -> Bench:
    bench = bench_of(folder, text)
    fill(bench, MEANS | (means or {}), validation=PICKED)
    return bench


def test_rows_are_those_that_validation_picks_not_the_best_on_the_test_rows(tmp_path: Path) -> None:
    found = one(made(tmp_path)).admission
    assert found
    assert [(chosen.role, chosen.strategy) for chosen in found.chosen] == [
        ("single modality", LEFT),
        ("fusion", "concat"),
        ("", "late"),
        ("of those that add modalities up", "unimodal_ensemble"),
        ("of those that see interactions", "concat"),
    ]
    assert [(gain.strategy, gain.over) for gain in found.gains] == [("concat", LEFT), ("concat", "unimodal_ensemble")]


def test_a_gain_is_the_paired_difference_with_both_errors(tmp_path: Path) -> None:
    bench = made(tmp_path)
    records = {name: [bench.store.read(run) for run in bench.runs(name)] for name in ("concat", LEFT)}
    rows = {name: [bench.store.read_resamples(run) for run in bench.runs(name)] for name in ("concat", LEFT)}
    scores = {name: np.array([r.scores["test/accuracy"] for r in found if r]) for name, found in records.items()}
    drawn = {name: np.array([r.scores["test/accuracy"] for r in found if r]) for name, found in rows.items()}
    by_seed = scores["concat"] - scores[LEFT]
    by_row = drawn["concat"].mean(0) - drawn[LEFT].mean(0)
    found = one(bench).admission
    assert found
    gain = found.gains[0].estimate
    assert gain.mean == pytest.approx(by_seed.mean())
    assert gain.seed_error == pytest.approx(by_seed.std(ddof=1) / np.sqrt(6))
    assert gain.test_error == pytest.approx(by_row.std(ddof=1))


def test_gains_above_zero_admit_a_data_set(tmp_path: Path) -> None:
    table = one(made(tmp_path))
    found = table.admission
    assert found
    assert found.is_sanity_set is False
    headline, first, second, *_ = opening(table)
    assert headline.startswith("Headline: of 6 rows validation picks `concat`, test accuracy 0.9")
    assert first.startswith(f"Admission (accuracy; rows that validation picks): single modality `{LEFT}` 0.798 ± 0.004")
    assert "; `late` 0.8" in first
    assert f"Gain of fusing (`concat` over `{LEFT}`) +0.1" in second
    assert second.endswith("(± half-widths of 95 % intervals over seeds and test rows).")
    assert "sanity" not in markdown(table)


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({"concat": 0.84}, "the gain of interactions is not above 0 beyond its interval"),
        ({"concat": 0.80, "unimodal_ensemble": 0.7}, "the gain of fusing is not above 0 beyond its interval"),
        ({"concat": 0.7}, "the gain of fusing and of interactions is not above 0 beyond its interval"),
    ],
)
def test_a_gain_that_is_not_above_zero_makes_a_sanity_set(tmp_path: Path, means: dict[str, float], words: str) -> None:
    table = one(made(tmp_path, means))
    assert f"A sanity set: {words}, so it is no evidence for an order." in markdown(table)
    assert "A sanity set" in methods(table)


def test_at_one_seed_nothing_is_known(tmp_path: Path) -> None:
    table = one(made(tmp_path, text=SUITE.replace("seeds: 6", "seeds: 1")))
    assert "At one seed there is no interval: whether this is a sanity set is not known." in opening(table)
    assert "half-widths of 95 % intervals over seeds and" not in markdown(table)


def test_rows_that_did_not_end_well_are_not_picked(tmp_path: Path) -> None:
    bench = made(tmp_path)
    run = bench.runs("concat")[0]
    bench.store.path(run).unlink()
    bench.ended(run, "diverged", "loss is nan")
    found = one(bench).admission
    assert found
    assert found.chosen[1].strategy == "gated"


def test_without_single_modalities_or_validation_scores_there_is_no_line(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, SUITE.replace("unimodal, ", ""))
    fill(bench, MEANS)
    assert one(bench).admission is None
    bare = make(tmp_path / "bare", "unimodal", "concat")
    bare.fill({LEFT: 0.8, RIGHT: 0.8, "concat": 0.9})
    assert one(bare).admission is None
    assert opening(one(bare)) == ()
    assert "admission.csv" not in [path.name for path in write_report(bare.suite, bare.store)]


def test_the_csv_has_a_line_for_each_row_and_gain(tmp_path: Path) -> None:
    table = one(made(tmp_path))
    lines = list(csv.DictReader(admission_csv(table).splitlines()))
    assert [line["what"] for line in lines][2:] == [
        "baseline", "of those that add modalities up", "of those that see interactions", "gain of fusing",
        "gain of interactions",
    ]  # fmt: skip
    assert table.admission
    assert float(lines[-1]["half_width"]) == pytest.approx(table.admission.gains[1].estimate.half_width, rel=1e-9)
    assert lines[-1]["above_0"] == "True"


def test_the_page_begins_with_it_and_the_table_comes_after(tmp_path: Path) -> None:
    lines = markdown(one(made(tmp_path))).splitlines()
    assert lines[0].startswith("## Digits")
    assert lines[2].startswith("Headline: ")
    assert lines[3].startswith("Admission (")
    assert lines.index(next(line for line in lines if line.startswith("| strategy"))) > 4
