"""Measures of trained models in tables, and for machines; nothing of them where none was taken."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from made_up_suite import Bench, make

from fusionbench.core.catalogue import names
from fusionbench.plan.load import suite_of
from fusionbench.plan.measures import needs
from fusionbench.plan.source import Source
from fusionbench.plan.suite import Choice
from fusionbench.records.store import Store
from fusionbench.report.collect import TRAINED
from fusionbench.report.making import made_report
from fusionbench.report.tables import Table, tables

STRATEGIES = ("late", "concat", "unimodal_ensemble", "unimodal")
SCORES = {"concat": 0.9, "late": 0.8, "unimodal_ensemble": 0.7}


def measured(bench: Bench, seed_step: float = 0.01) -> Bench:
    """Every run with files of the three measures."""
    for run in bench.runs():
        score = SCORES.get(run.strategy.name, 0.5)
        curves = {"validation/nll": [1.0, 0.5] if run.strategy.options.get("modality") == "left" else [1.0, 1.0]}
        chosen = {"validation/accuracy": score, "validation/nll": 1 - score, "epoch": 2.0}
        bench.done(run, score + seed_step * run.seed, curves=curves, validation=chosen)
        gap = 0.2 if run.strategy.name == "concat" else 0.0
        bench.store.publish_measure(run, "calibration", calibration(0.1 * (run.seed + 1)))
        bench.store.publish_measure(run, "contribution", contribution(gap))
        bench.store.publish_measure(run, "robustness", robustness(score))
    return bench


def calibration(ece: float) -> dict[str, Any]:
    scores = {"nll": 0.4, "brier": 0.2, "ece": ece}
    selective = {"coverage": [0.5, 1.0], "risk": [0.1, 0.2], "aurc": 0.05}
    return {"temperature": 1.5, "test": scores, "test_at_temperature": scores, "selective": selective}


def contribution(gap: float) -> dict[str, Any]:
    return {
        "emap": {"gap": gap, "standard_error": 0.02},
        "drop": {"left": {"mean": 0.3, "sd": 0.01}, "right": {"mean": 0.1, "sd": 0.01}},
        "values": {"": 0.1, "left": 0.5, "right": 0.4, "left+right": 0.9},
        "shapley": {"left": 0.45, "right": 0.35},
        "interaction": {"left+right": 0.1},
        "utilisation": {"left given right": 0.5, "right given left": None},
    }


def robustness(clean: float) -> dict[str, Any]:
    noisy = {"accuracy": [clean - 0.1, clean - 0.2]}
    return {
        "severities": [0.1, 0.2],
        "clean": {"accuracy": clean},
        "noise": {"left": {"gaussian": noisy}, "right": {"gaussian": noisy}},
        "missing": {"left": {"accuracy": [clean - 0.05, clean - 0.3]}},
        "present": {"left": {"accuracy": 0.5}, "right": {"accuracy": 0.4}},
    }


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def files(bench: Bench) -> dict[str, str]:
    return {path.name: content.decode() for path, content in made_report(bench.suite, bench.store, draw=False).files}


def lines(text: str, **where: str) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(text))
    return [line for line in found if all(line[name] == value for name, value in where.items())]


def test_the_list_of_measures_is_the_catalogues() -> None:
    assert set(TRAINED) == {name for name in names("measure") if needs(Choice(name)) == "trained"}


def test_measures_are_columns_with_a_sentence_each(tmp_path: Path) -> None:
    page = files(measured(make(tmp_path, *STRATEGIES)))["table.md"]
    (row,) = (line for line in page.splitlines() if line.startswith("| `concat` |"))
    for heading in ("ECE", "EMAP gap", "over the ensemble", "relative robustness", "effective robustness"):
        assert f"| {heading} |" in page
    assert "| 0.20 ± 0.25 | +0.2000 |" in row
    assert "Intervals of measures of trained models are over seeds alone." in page
    assert "EMAP gap: the score less that of the nearest sum over modalities" in page


def test_a_measure_of_fewer_seeds_than_its_row_and_the_error_of_a_sample_are_said(tmp_path: Path) -> None:
    bench = make(tmp_path, "late", "concat")
    for run in bench.runs():
        bench.done(run, SCORES[run.strategy.name] + 0.01 * run.seed)
        if run.seed == 1:
            bench.store.publish_measure(run, "calibration", calibration(0.1))
            sampled = {"gap": 0.005, "standard_error": 0.013, "rows": 200}
            bench.store.publish_measure(run, "contribution", {**contribution(0.0), "emap": sampled})
    page = files(bench)["table.md"]
    assert "ECE, EMAP gap: measured at 1 of 3 seeds, so without an interval." in page
    assert (
        "0: no interaction is used; of 200 test rows, standard error 0.013 at one seed (median where it is not 0)."
        in page
    )
    assert "measured at" not in files(measured(make(tmp_path / "b", *STRATEGIES)))["table.md"]


def test_without_measures_there_is_no_word_of_them(tmp_path: Path) -> None:
    bench = make(tmp_path, *STRATEGIES)
    for run in bench.runs():
        bench.done(run, SCORES.get(run.strategy.name, 0.5))
    found = files(bench)
    assert not {"calibration.csv", "contribution.csv", "robustness.csv", "missing.csv"} & set(found)
    assert "robustness" not in found["table.md"]
    assert "ensemble |" not in found["table.md"].replace("unimodal_ensemble", "").replace("Unimodal ensemble", "")


def test_gains_and_imbalance_are_computed_and_stored_nowhere(tmp_path: Path) -> None:
    found = lines(files(measured(make(tmp_path, *STRATEGIES)))["contribution.csv"])
    (gain,) = (one for one in found if one["strategy"] == "concat" and one["of"] == "over unimodal_ensemble")
    assert float(gain["mean"]) == pytest.approx(0.2)
    (single,) = (one for one in found if one["strategy"] == "concat" and one["of"] == "over the best single modality")
    assert float(single["mean"]) == pytest.approx(0.4)
    (apart,) = (one for one in found if one["what"] == "imbalance")
    assert apart["of"] == "left - right"
    assert float(apart["mean"]) == pytest.approx((2.718281828**-0.5 - 2.718281828**-1) / 2)
    stored = json.dumps([json.loads(path.read_text()) for path in (tmp_path / "results").rglob("*.contribution.json")])
    assert "gain" not in stored


def test_effective_robustness_is_against_late_fusion_of_the_same_seed(tmp_path: Path) -> None:
    found = lines(files(measured(make(tmp_path, *STRATEGIES)))["robustness.csv"], strategy="concat", modality="left")
    values = {(one["corruption"], one["severity"], one["score"]): one["mean"] for one in found}
    assert float(values["gaussian", "0.1", "accuracy"]) == pytest.approx(0.8)
    assert float(values["gaussian", "", "relative accuracy"]) == pytest.approx((0.8 / 0.9 + 0.7 / 0.9) / 2)
    assert float(values["gaussian", "", "effective accuracy"]) == pytest.approx(0.0)
    assert not lines(files(measured(make(tmp_path / "b", "late")))["robustness.csv"], score="effective accuracy")


def test_a_repeat_that_differs_is_said_in_the_caption(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    run = bench.runs("concat")[1]
    differs = {"test/accuracy": {"record": 0.914, "here": 0.912}}
    bench.store.publish_measure(run, "calibration", {**calibration(0.1), "of_repeat": differs})
    page = files(bench)["table.md"]
    assert "concat, seed 1, calibration: of a repeat, accuracy 0.9120 against 0.9140." in page


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"test": 3, "emap": [], "drop": None, "noise": {"left": 1}, "severities": "many", "clean": []},
        {"test": {"ece": "high"}, "emap": {"gap": 1e300}, "noise": {"\x1b[2J": {"x": {"accuracy": ["a"]}}}},
        {"severities": [0.1], "clean": {"accuracy": 0}, "noise": {"left": {"g": {"accuracy": [0.1]}}}, "of_repeat": 7},
    ],
)
def test_files_that_hold_something_else_end_no_report(tmp_path: Path, values: dict[str, Any]) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    for run in bench.runs("concat"):
        for measure in TRAINED:
            bench.store.publish_measure(run, measure, values)
    found = files(bench)
    assert "| `concat` |" in found["table.md"]
    assert "\x1b" not in "".join(found.values())


def test_what_is_missing_in_training_meets_what_is_missing_in_the_test(tmp_path: Path) -> None:
    given = ["digits", {"name": "digits", "train_missing": {"left": 0.3}}]
    suite = suite_of(Source("s", {"name": "s", "datasets": given, "strategies": ["late"], "seeds": 2}, {}))
    bench = measured(Bench(suite, Store(tmp_path / "results", "s")))
    found = lines(files(bench)["missing.csv"])
    cells = {(one["train_missing"], one["test_rate"]): float(one["mean"]) for one in found}
    assert set(cells) == {(train, test) for train in ("none", "left=0.3") for test in ("0.0", "0.1", "0.2")}
    assert cells["left=0.3", "0.2"] == pytest.approx(0.5)
    assert all(one["modality"] == "left" and one["seeds"] == "2" for one in found)
