"""What the page's pictures of measures are made of: the numbers of the files for machines, and all that is new."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from made_up_suite import Bench, make
from test_measured_tables import STRATEGIES, calibration, files, measured, one

from fusionbench.plan.load import suite_of
from fusionbench.plan.source import Source
from fusionbench.records.store import Store
from fusionbench.report.making import made_report

pytest.importorskip("altair", reason="the extra `page` is not installed")

from fusionbench.report.page import held_charts
from fusionbench.report.page.charts import charts
from fusionbench.report.page.looks import Chart
from fusionbench.report.page.missing_chart import missing_chart


def drawn(bench: Bench) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(one(bench))}


def rows(chart: Chart, name: str, **where: Any) -> list[Mapping[str, Any]]:
    found = chart.spec["datasets"][name]
    return [row for row in found if all(row[field] == value for field, value in where.items())]


def test_robustness_has_the_curves_of_its_csv(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    chart = drawn(bench)["robustness"]
    found = rows(chart, "points", strategy="concat", panel="left: gaussian")
    assert [row["x"] for row in found] == [0.0, 0.1, 0.2]
    lines = csv.DictReader(io.StringIO(files(bench)["robustness.csv"]))
    kept = [
        line["mean"]
        for line in lines
        if (line["strategy"], line["score"], line["modality"], line["corruption"])
        == ("concat", "accuracy", "left", "gaussian")
    ]
    assert [row["mean"] for row in found[1:]] == pytest.approx([float(mean) for mean in kept])
    panels = {row["panel"] for row in rows(chart, "points")}
    assert panels == {"left: gaussian", "right: gaussian", "left: missing"}


def test_reliability_is_of_all_seeds_together(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    assert "reliability" not in drawn(bench)
    for run in bench.runs("concat"):
        bins = [{"count": 20, "confidence": 0.3, "accuracy": 0.25 * run.seed}, {"count": 1, "confidence": 0.9}]
        bench.store.publish_measure(run, "calibration", {**calibration(0.1), "reliability": bins})
    (point,) = rows(drawn(bench)["reliability"], "points")
    assert (point["panel"], point["x"], point["mean"]) == ("as trained", pytest.approx(0.3), pytest.approx(0.25))


def test_costs_stand_in_a_panel_each(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    for run in bench.runs():
        bench.size(run, 1000 * len(run.strategy.name))
    (point,) = rows(drawn(bench)["costs"], "costs", strategy="concat", what="parameters of the fusion")
    assert (point["cost"], point["costs"], point["mean"]) == (6000.0, "6.00 k", pytest.approx(0.91))


def test_every_number_of_a_measure_can_be_chosen_and_those_that_stand_together_at_once(tmp_path: Path) -> None:
    chart = drawn(measured(make(tmp_path, *STRATEGIES)))["contribution: numbers"]
    (choice,) = chart.spec["params"]
    labels = choice["bind"]["labels"]
    assert labels[choice["value"]] == "shapley"
    assert {"drop, left", "values", "values, none", "emap, gap", "utilisation, left given right"} <= set(labels)
    assert "utilisation, right given left" not in labels  # No file has a number there.
    found = rows(chart, "numbers", strategy="concat", group=choice["value"])
    assert {row["last"]: row["mean"] for row in found} == {"left": 0.45, "right": 0.35}
    (gap,) = rows(chart, "numbers", strategy="concat", what=labels.index("emap, gap"))
    assert (gap["mean"], gap["said"], gap["seeds"]) == (pytest.approx(0.2), "emap, gap", 3)


def test_curves_go_along_the_list_that_every_file_has_alike(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    for run in bench.runs():
        risk = {"coverage": [0.5, 1.0], "risk": [0.1 * run.seed, 0.2], "aurc": 0.05}
        bench.store.publish_measure(run, "calibration", {**calibration(0.1), "selective": risk})
    found = drawn(bench)
    chart = found["calibration: curves"]
    assert chart.spec["params"][-1]["bind"]["labels"] == ["selective, risk, by coverage"]
    assert [(row["x"], row["mean"]) for row in rows(chart, "points", strategy="concat")] == [
        (0.5, pytest.approx(0.1)),
        (1.0, pytest.approx(0.2)),
    ]
    assert "robustness: curves" not in found  # All that it has is the ranking score, which has its own picture.


def test_a_measure_that_nobody_has_heard_of_appears_without_a_change(tmp_path: Path) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    for run in bench.runs():
        held = {"rows": 7, "sure": 0.1 * run.seed, "above": [0.5, 0.9], "share": [0.9 - 0.1 * run.seed, 0.5]}
        bench.store.publish_measure(run, "mine.sure", held)
    found = drawn(bench)
    numbers = found["mine.sure: numbers"]
    assert numbers.spec["params"][0]["bind"]["labels"] == ["rows", "sure"]
    (row,) = rows(numbers, "numbers", strategy="late", said="sure")
    assert (row["mean"], row["seeds"]) == (pytest.approx(0.1), 3)
    points = rows(found["mine.sure: curves"], "points", strategy="late")
    assert [(row["x"], row["mean"]) for row in points] == [(0.5, pytest.approx(0.8)), (0.9, pytest.approx(0.5))]


def test_of_more_than_a_picture_holds_the_first_are_there_and_the_rest_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = measured(make(tmp_path, *STRATEGIES))
    for run in bench.runs():
        bench.store.publish_measure(run, "mine.many", {f"n{at}": at for at in range(9)})
    monkeypatch.setattr(held_charts, "MOST", 4 * len(one(bench).rows))
    chart = drawn(bench)["mine.many: numbers"]
    assert chart.spec["params"][0]["bind"]["labels"] == ["n0", "n1", "n2", "n3"]
    assert "; 5 more are left out here" in chart.caption


def test_what_is_missing_in_training_has_a_panel_each_and_a_modality_to_choose(tmp_path: Path) -> None:
    given = ["digits", {"name": "digits", "train_missing": {"left": 0.3}}]
    suite = suite_of(Source("s", {"name": "s", "datasets": given, "strategies": ["late", "concat"], "seeds": 2}, {}))
    bench = measured(Bench(suite, Store(tmp_path / "results", "s")))
    report = made_report(bench.suite, bench.store, draw=False)
    chart = missing_chart(report.tables, report.missing)
    assert chart is not None
    found = rows(chart, "cells", strategy="concat")
    assert {(row["trained"], row["rate"]) for row in found} == {
        (trained, rate) for trained in ("none", "left=0.3") for rate in ("0", "0.1", "0.2")
    }
    kept = {(line["train_missing"], f"{line['test_rate']:g}"): line["mean"] for line in report.missing
            if line["strategy"] == "concat"}  # fmt: skip
    assert all(row["mean"] == kept[row["trained"], row["rate"]] for row in found)
    whole = [line for line in report.missing if line["train_missing"] == "none"]
    assert missing_chart(report.tables, whole) is None
