"""Measures of trained models: in the run's process, later from its weights, and later by a repeat."""

from __future__ import annotations

import hashlib
import json

import pytest
from safetensors.torch import load_file, save_file
from small_suites import Bench, is_record

from fusionbench.cli.main import main


def files(bench: Bench, ending: str, results: str = "results") -> dict[str, bytes]:
    """By key, the files of that ending beside records."""
    found = sorted((bench.folder / results).rglob(f"*{ending}"))
    return {path.name.partition(".")[0]: path.read_bytes() for path in found}


def measure(bench: Bench, suite: str, *words: str, results: str = "results") -> int:
    return main(bench.arguments("measure", suite, *words, results=results))


def record_bytes(bench: Bench, results: str = "results") -> dict[str, bytes]:
    return {p.stem: p.read_bytes() for p in (bench.folder / results).rglob("*.json") if is_record(p)}


@pytest.fixture
def kept(bench: Bench) -> tuple[Bench, str]:
    """A suite that keeps weights and measures nothing of trained models, done."""
    suite = bench.suite(strategies=["concat"], seeds=1, keep="weights")
    assert bench.run(suite) == 0
    return bench, suite


def test_scores_are_the_same_with_measures_and_without_and_so_are_keys(bench: Bench) -> None:
    budget = {"epochs": 2, "dropout": 0.1}
    assert bench.run(bench.suite(budget=budget), results="without") == 0
    listed = bench.suite(budget=budget, measures=["size", "calibration"], keep="weights")
    assert bench.run(listed, results="with") == 0
    assert bench.scores("with") == bench.scores("without")
    assert set(files(bench, ".calibration.json", "with")) == set(bench.records("with"))
    assert set(files(bench, ".weights.safetensors", "with")) == set(bench.records("with"))
    assert not files(bench, ".calibration.json", "without")
    assert not files(bench, ".weights.safetensors", "without")


def test_a_measure_is_of_the_very_model_that_the_record_has_the_scores_of(bench: Bench) -> None:
    bench.run(bench.suite(measures=["calibration"]))
    found = {key: json.loads(content) for key, content in files(bench, ".calibration.json").items()}
    for key, record in bench.records().items():
        assert found[key]["test"]["nll"] == pytest.approx(record["scores"]["test/nll"], rel=1e-6)
        assert found[key]["rows"] == record["data"]["counts"]["test"]
        assert found[key]["selective"]["risk"][-1] == pytest.approx(1 - record["scores"]["test/accuracy"])
        assert "of_repeat" not in found[key]


def test_measured_later_from_weights_or_by_a_repeat_it_is_what_it_was_in_the_run(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run(bench.suite(measures=["calibration"]), results="during")
    bench.run(bench.suite(keep="weights"), results="kept")
    bench.run(bench.suite(), results="bare")
    before = {results: record_bytes(bench, results) for results in ("kept", "bare")}
    suite = bench.suite()
    capsys.readouterr()
    assert measure(bench, suite, "--measures", "calibration", results="kept") == 0
    assert "trained again" not in capsys.readouterr().err
    assert measure(bench, suite, "--measures", "calibration", results="bare") == 0
    assert "4 of 4 runs have no weights and are trained again" in capsys.readouterr().err
    during = files(bench, ".calibration.json", "during")
    assert files(bench, ".calibration.json", "kept") == during
    assert files(bench, ".calibration.json", "bare") == during
    assert {results: record_bytes(bench, results) for results in ("kept", "bare")} == before


def test_a_model_that_does_not_give_the_scores_of_its_record_says_so_in_the_file(kept: tuple[Bench, str]) -> None:
    bench, suite = kept
    (path,) = (p for p in (bench.folder / "results").rglob("*.json") if is_record(p))
    record = json.loads(path.read_text())
    there = record["scores"]["test/accuracy"]
    record["scores"]["test/accuracy"] = 0.25
    path.write_text(json.dumps(record, sort_keys=True, indent=1) + "\n")
    assert measure(bench, suite, "--measures", "calibration") == 0
    (content,) = files(bench, ".calibration.json").values()
    assert json.loads(content)["of_repeat"] == {"test/accuracy": {"record": 0.25, "here": there}}


def test_what_is_measured_is_not_measured_twice(kept: tuple[Bench, str], capsys: pytest.CaptureFixture[str]) -> None:
    bench, suite = kept
    measure(bench, suite, "--measures", "calibration")
    (path,) = (bench.folder / "results").rglob("*.calibration.json")
    before = path.stat().st_mtime_ns
    capsys.readouterr()
    assert measure(bench, suite, "--measures", "calibration") == 0
    assert "0 runs measured" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before


def test_run_takes_a_measure_that_was_added_later_from_weights_and_never_trains_for_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run(bench.suite(keep="weights", seeds=1), results="kept")
    bench.run(bench.suite(seeds=1), results="bare")
    more = bench.suite(measures=["size", "calibration"], seeds=1)
    assert bench.run(more, results="kept") == 0
    assert len(files(bench, ".calibration.json", "kept")) == 2
    capsys.readouterr()
    assert bench.run(more, results="bare") == 0
    assert "2 done runs lack measures of trained models" in capsys.readouterr().err
    assert not files(bench, ".calibration.json", "bare")


@pytest.mark.parametrize("kind", ["bit", "nan"])
def test_weights_that_are_not_what_they_should_be_are_one_line_with_the_way_out(
    kept: tuple[Bench, str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, suite = kept
    (tensors,) = (bench.folder / "results").rglob("*.weights.safetensors")
    facts = tensors.with_suffix(".json")
    if kind == "bit":
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    else:
        save_file({name: value * float("nan") for name, value in load_file(tensors).items()}, tensors)
        stated = {**json.loads(facts.read_text()), "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest()}
        facts.write_text(json.dumps(stated))
    capsys.readouterr()
    assert measure(bench, suite, "--measures", "calibration") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert ("damaged" in error and "trained again" in error) if kind == "bit" else "could not be" in error
    assert not files(bench, ".calibration.json")


def test_a_measure_that_fits_no_data_set_is_refused_before_anything_begins(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(datasets=["diabetes"], measures=["calibration"])
    assert bench.run(suite) == 2
    assert "measure 'calibration' is defined for multiclass or multilabel tasks alone; 'diabetes' is regression" in (
        capsys.readouterr().err
    )
    plain = bench.suite(datasets=["diabetes"])
    assert measure(bench, plain, "--measures", "calibration") == 2
    assert measure(bench, plain, "--measures", "calibratoin") == 2
    assert "did you mean 'calibration'?" in capsys.readouterr().err
    assert measure(bench, plain, "--measures", "latency") == 2


def test_where_a_measure_fits_one_data_set_the_others_do_without(bench: Bench) -> None:
    suite = bench.suite(datasets=["digits", "diabetes"], strategies=["late"], seeds=1, measures=["calibration"])
    assert bench.run(suite) == 0
    (path,) = (bench.folder / "results").rglob("*.calibration.json")
    assert "digits" in path.parts
    assert bench.run(suite) == 0


def test_a_measure_that_fails_leaves_the_run_done_and_says_so(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (bench.folder / bench.package).mkdir()
    own = 'needs = "trained"\n\n\ndef measure(trained):\n    raise RuntimeError("no idea")\n'
    (bench.folder / bench.package / "broken.py").write_text('"""Broken: nothing."""\n' + own)
    suite = bench.suite(strategies=["late"], seeds=1, measures=["size", f"{bench.package}.broken"])
    assert bench.run(suite) == 0
    assert "not measured" in (said := capsys.readouterr().out)
    assert "no idea" in said
    assert [record["status"] for record in bench.records().values()] == ["done"]


def test_a_measure_of_the_users_own_gets_the_trained_model_and_its_data(bench: Bench) -> None:
    (bench.folder / bench.package).mkdir()
    own = (
        '"""Own: how often it is right."""\n\nneeds = "trained"\n\n\n'
        "def measure(trained, *, rows: int = 100):\n"
        "    some = trained.inputs.parts.test[:rows]\n"
        "    with trained.opened():\n"
        "        batch = trained.data.batch(some)\n"
        "        return trained.scores([(trained.outputs(batch), batch.targets)])\n"
    )
    (bench.folder / bench.package / "own.py").write_text(own)
    suite = bench.suite(seeds=1, measures=[{"name": f"{bench.package}.own", "options": {"rows": 1797}}])
    assert bench.run(suite) == 0
    scores = {key: record["scores"] for key, record in bench.records().items()}
    for path in (bench.folder / "results").rglob(f"*.{bench.package}.own.json"):
        found = json.loads(path.read_text())
        assert found["accuracy"] == scores[found["key"]]["test/accuracy"]


def test_keep_says_weights_or_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(bench.suite(keep="everything")) == 2
    assert "keep" in capsys.readouterr().err
