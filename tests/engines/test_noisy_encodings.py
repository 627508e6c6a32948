"""What frozen encoders make of noisy rows is stored once for the runs of a seed, and gives what live encoders give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_suites import Bench

from fusionbench.bench.build import training_data
from fusionbench.bench.encoding_sizes import changed_rows, size_told
from fusionbench.bench.jobs import Place
from fusionbench.bench.trunks import FOLDER
from fusionbench.cli.main import main
from fusionbench.core.catalogue import describe
from fusionbench.data.store import MANIFEST
from fusionbench.measure.corruptions import BY_KIND
from fusionbench.measure.robustness import TENTHS
from fusionbench.plan.load import load_suite

STRATEGIES = ["concat", "central", "unimodal"]
"""On encodings; on their layers, too; on one modality alone."""


def frozen(bench: Bench, **changes: Any) -> str:
    """Digits through CNNs that are trained beforehand."""
    encoders = {"image": {"name": "small_cnn", "options": {"width": 8, "channels": [4, 8]}, "pretrain": {"epochs": 1}}}
    contribution = {"name": "contribution", "options": {"rows": 40, "pairs": 20, "permutations": 2}}
    measures = [{"name": "robustness", "options": {"rows": 40}}, contribution]
    given = {"encoders": encoders, "strategies": STRATEGIES, "seeds": 1, "measures": measures, **changes}
    return bench.suite(**given)


def folders(bench: Bench) -> list[Path]:
    """Encodings of this bench's digits."""
    return sorted(path for path in (bench.data / FOLDER).glob("digits-*") if path.is_dir())


def found(bench: Bench, results: str, measure: str = "robustness") -> dict[str, dict[str, Any]]:
    """By key, what was measured."""
    paths = (bench.folder / results).rglob(f"*.{measure}.json")
    return {path.name[:12]: json.loads(path.read_text()) for path in paths}


def test_a_seed_has_its_noisy_rows_encoded_once_and_forgotten(own_data: Bench) -> None:
    assert own_data.run(frozen(own_data), "--keep-encodings") == 0
    changed = [path for path in folders(own_data) if "-changed-" in path.name]
    assert [path.name.split("-")[1] for path in changed] == ["left", "right"]
    for path in changed:
        assert path.name.partition("-changed-")[0] in {one.name for one in folders(own_data)}
    times = {path: (path / MANIFEST).stat().st_mtime_ns for path in changed}
    assert own_data.run(frozen(own_data, strategies=["late"]), "--keep-encodings", results="other") == 0
    assert {path: (path / MANIFEST).stat().st_mtime_ns for path in changed} == times
    assert own_data.run(frozen(own_data, strategies=["sum"]), results="third") == 0
    assert folders(own_data) == []
    assert len(found(own_data, "third")) == 1


def test_curves_are_those_of_live_encoders(own_data: Bench) -> None:
    suite = frozen(own_data)
    assert own_data.run(suite, results="stored") == 0
    assert own_data.run(suite, "--no-stored-encodings", results="live") == 0
    stored, live = found(own_data, "stored"), found(own_data, "live")
    assert len(stored) == len(live) == 4  # A row for each single modality.
    for key, one in stored.items():
        for name, ways in one["noise"].items():
            for way, curve in ways.items():
                other = live[key]["noise"][name][way]
                assert curve["nll"] == pytest.approx(other["nll"], abs=1e-5)
                assert curve["accuracy"] == pytest.approx(other["accuracy"], abs=1 / 39)  # A tie may break.
    stored, live = (found(own_data, results, "contribution") for results in ("stored", "live"))
    for key, one in stored.items():
        assert one["values"] == pytest.approx(live[key]["values"], abs=1 / 39)
        assert one["emap"]["logits_apart"] == pytest.approx(live[key]["emap"]["logits_apart"], abs=1e-4)


def test_measures_asked_for_later_leave_no_encodings_either(own_data: Bench) -> None:
    assert own_data.run(frozen(own_data, measures=["size"], keep="weights")) == 0
    assert own_data.run(frozen(own_data, keep="weights")) == 0
    assert len(found(own_data, "results")) == 4
    assert folders(own_data) == []
    suite = frozen(own_data, measures=["size"], keep="weights")
    for path in (own_data.folder / "results").rglob("*.robustness.json"):
        path.unlink()
    assert main(own_data.arguments("measure", suite, "--measures", "robustness")) == 0
    assert len(found(own_data, "results")) == 4
    assert folders(own_data) == []


def test_they_are_counted_where_a_disk_may_be_too_small(own_data: Bench) -> None:
    suite = load_suite(frozen(own_data, measures=["size", {"name": "robustness", "options": {"rows": 10**6}}]))
    run = next(suite.runs())
    data = training_data(run, own_data.data)
    assert data.parts is not None
    tested = len(data.parts.test)
    assert changed_rows(suite.measures, "left", data) == 3 * 10 * tested
    assert changed_rows(load_suite(frozen(own_data)).measures, "left", data) == 3 * 10 * 40
    assert changed_rows(suite.measures[:1], "left", data) == 0
    place = Place(own_data.folder / "results", suite.name, own_data.data, 1, {})
    told = [size_told([run], data, place, 1, some) for some in ((), suite.measures)]
    found = [text.partition("take about ")[2].split()[:2] for text in told]
    without, with_noise = (float(number) * {"KiB": 1, "MiB": 1024}[unit] for number, unit in found)
    every = len(data.parts.train) + len(data.parts.validation) + tested
    assert with_noise / without == pytest.approx((every + 3 * 10 * tested) / every, rel=0.05)


def test_the_measure_states_how_often_it_encodes_a_row() -> None:
    assert describe("measure", "robustness").facts["encodes"] == {
        kind: len(ways) * len(TENTHS) for kind, ways in BY_KIND.items()
    }
