"""A regression, and a score that a suite names to rank, really run: epochs, trials, tables, resamples."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score
from small_suites import Bench

from fusionbench.plan.load import load_suite
from fusionbench.records.store import Store

MATCHED = {"name": "matched_parameters", "options": {"target": 9000, "learning_rates": [1e-4, 3e-2], "grow": 0}}


def test_a_suite_that_ranks_by_an_error_picks_the_lowest_everywhere(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(
        datasets=[{"name": "diabetes", "metric": "mae"}],
        strategies=["chance", "concat", "late", "evidential"],
        tracks=[MATCHED],
        budget={"epochs": 4, "batch_size": 64},
    )
    assert bench.run(suite) == 0
    records = list(bench.records().values())
    finals = [record for record in records if record["spec"]["role"] == "final"]
    assert {record["spec"]["dataset"]["metric"] for record in records} == {"mae"}
    for record in (one for one in finals if one["status"] == "done"):
        assert (record["task"]["kind"], record["task"]["metric"]) == ("regression", "mae")
        curve = record["curves"]["validation/mae"]
        assert record["validation"]["validation/mae"] == min(curve)
        assert record["validation"]["epoch"] == curve.index(min(curve)) + 1
        if "trials" in record["options"]:
            trials = {float(rate): score for rate, score in record["options"]["trials"].items()}
            assert record["options"]["learning_rate"] == min(trials, key=lambda rate: trials[rate])
    assert {r["reason"] for r in finals if r["spec"]["strategy"]["name"] == "evidential"} == {
        "its Dirichlet shares belief out among classes of which one is true; this task is a regression, whose numbers "
        "have no classes"
    }
    check_predictions(bench, suite)
    text = (bench.folder / "results" / "tiny" / "diabetes+metric=mae" / "table.md").read_text()
    assert "| MAE (lower is better) |" in text
    means = [
        float(found)
        for found in re.findall(r"^\| `(?:concat|late|chance)` \| [^|]+ \| \**([\d.]+)", text, re.MULTILINE)
    ]
    assert means == sorted(means)
    assert len(means) == 3
    assert "MAE (lower is better)" in capsys.readouterr().out


def check_predictions(bench: Bench, suite: str) -> None:
    """What is kept of test rows gives the scores, and the resamples have what ranks."""
    planned = load_suite(suite)
    store = Store(bench.folder / "results", planned.name)
    seen = 0
    for run in planned.runs():
        record = store.read(run)
        assert record is not None
        if record.status != "done":
            continue
        with np.load(store.path(run, ".npz")) as kept:
            targets, predicted = kept["targets"], kept["predicted"]
        assert record.scores["test/mae"] == pytest.approx(mean_absolute_error(targets, predicted), rel=1e-5)
        assert record.scores["test/r2"] == pytest.approx(r2_score(targets, predicted), abs=1e-5)
        assert set(record.scores) == {f"test/{name}" for name in ("r2", "rmse", "mae", "pearson", "spearman")}
        resamples = store.read_resamples(run)
        assert resamples is not None
        assert set(resamples.scores) == {"test/r2", "test/rmse", "test/mae"}
        assert np.mean(resamples.scores["test/mae"]) == pytest.approx(record.scores["test/mae"], rel=0.1)
        seen += 1
    assert seen == 6


def test_a_score_that_a_part_does_not_have_is_refused_before_anything_trains(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    package = bench.folder / bench.package
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "rare.py").write_text(RARE)
    tree = {"name": f"{bench.package}.rare", "metric": "auroc"}
    assert bench.run(bench.suite(datasets=[tree], strategies=["concat"])) == 2
    told = (
        "AUROC, which ranks, is not defined on the 10 validation rows: class 2 has none of them, or all; name another"
    )
    assert f"{told} `metric` in the suite" in capsys.readouterr().err
    assert bench.records() == {}
    assert bench.run(bench.suite(datasets=[f"{bench.package}.rare"], strategies=["concat"])) == 0
    for record in bench.records().values():
        assert "test/auroc" not in record["scores"]
        assert {"test/accuracy", "test/balanced_accuracy"} <= set(record["scores"])
        assert "NaN" not in json.dumps(record)


RARE = '''"""Rare: a class that no validation or test row has."""
import numpy as np

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split


class Rare(MultimodalData):
    views = {"pair": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 16}}}

    @property
    def task(self):
        return TaskSpec(tuple(ModalitySpec(name, "vector", (3,)) for name in "ab"), 3)

    def convert(self, folder):
        rng = np.random.default_rng(0)
        for name in "ab":
            np.save(folder / f"{name}.npy", rng.normal(size=(60, 3)).astype(np.float32))
        np.save(folder / "targets.npy", np.where(np.arange(60) < 10, 2, np.arange(60) % 2))

    def split(self):
        rows = np.arange(60)
        return Split(rows[:40], rows[40:50], rows[50:])
'''
