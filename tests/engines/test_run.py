"""A suite from plan to records: resumed, isolated, honest about what failed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from small_suites import Bench, is_record

from fusionbench.bench.build import build, dataset_of, setting_for
from fusionbench.bench.memory import STATM
from fusionbench.core import catalogue
from fusionbench.core.files import HOST
from fusionbench.engines.runner import Runner
from fusionbench.plan.load import load_suite
from fusionbench.records.record import from_text
from fusionbench.records.store import Store


def test_every_run_leaves_a_valid_record_and_its_measures(bench: Bench) -> None:
    assert bench.run(bench.suite()) == 0
    records = bench.records()
    assert len(records) == 4
    for path in (bench.folder / "results").rglob("*.json"):
        if path.stem in records:
            record = from_text(path.read_bytes())
            assert (record.status, record.test_evaluations, record.epochs_run) == ("done", 1, 1)
            assert record.data is not None
            assert sum(record.data.counts.values()) == 1797
            size = json.loads(path.with_name(f"{record.key}.size.json").read_text())
            assert size["fusion_parameters"] > 0
            assert size["disk_bytes"] >= 4 * (size["fusion_parameters"] + size["encoder_parameters"])
            if STATM.exists():
                assert record.cost["memory_of"] == ("device" if torch.cuda.is_available() else "process")
                assert 0 < record.cost["memory_bytes"] < 2**33
            assert "processor" in {**record.cost.get("joules", {}), **record.cost.get("uncounted", {})}


def test_the_recorded_scores_are_those_of_the_stored_predictions(bench: Bench) -> None:
    bench.run(bench.suite(seeds=1))
    for path in (bench.folder / "results").rglob("*.npz"):
        record = from_text(path.with_suffix(".json").read_bytes())
        with np.load(path) as found:
            logits, targets = found["logits"], found["targets"]
        chances = torch.from_numpy(logits).double().softmax(1).numpy()
        assert record.scores["test/accuracy"] == pytest.approx(accuracy_score(targets, logits.argmax(1)), abs=1e-6)
        assert record.scores["test/macro_f1"] == pytest.approx(f1_score(targets, logits.argmax(1), average="macro"))
        assert record.scores["test/nll"] == pytest.approx(log_loss(targets, chances, labels=range(10)), rel=1e-5)


def test_every_run_leaves_its_scores_on_the_same_resampled_test_rows(bench: Bench) -> None:
    suite = bench.suite()
    bench.run(suite)
    store = Store(bench.folder / "results", "tiny")
    draws = set()
    for run in load_suite(suite).runs():
        record, found = store.read(run), store.read_resamples(run)
        assert record
        assert found
        assert record.data
        draws.add((found.draw, found.unit, found.units, record.data.counts["test"]))
        mean, error = np.mean(found.scores[record.metric]), np.std(found.scores[record.metric])
        assert abs(float(mean) - record.scores[record.metric]) <= 4 * error / np.sqrt(found.resamples)
    ((_, unit, units, rows),) = draws
    assert (unit, units) == ("rows", rows)
    assert all(path.stat().st_size < 4000 for path in store.root.rglob("*.resamples.json"))


def test_a_second_call_trains_nothing_and_keeps_every_byte(bench: Bench) -> None:
    suite = bench.suite()
    bench.run(suite)
    before = {path: path.read_bytes() for path in (bench.folder / "results").rglob("*") if path.is_file()}
    assert bench.run(suite) == 0
    assert {path: path.read_bytes() for path in (bench.folder / "results").rglob("*") if path.is_file()} == before


def test_scores_are_the_same_byte_for_byte_again_and_with_any_number_of_workers(bench: Bench) -> None:
    suite = bench.suite(budget={"epochs": 2, "dropout": 0.1})
    bench.run(suite, "--workers", "1", results="one")
    bench.run(suite, "--workers", "2", results="two")
    bench.run(suite, "--workers", "2", results="again")
    assert len(bench.scores("one")) == 4
    assert bench.scores("one") == bench.scores("two") == bench.scores("again")


def test_a_dead_runners_claim_on_a_finished_run_is_cleared(bench: Bench) -> None:
    suite = bench.suite(seeds=1)
    bench.run(suite)
    (record,) = (bench.folder / "results").rglob("concat/*.size.json")
    lock = record.with_name(record.name.replace(".size.json", ".lock"))
    lock.write_text(json.dumps({"host": HOST, "pid": 2**22 + 1, "since": 0}))
    assert bench.run(suite) == 0
    assert not lock.exists()


def test_a_dead_runners_empty_log_is_cleared_and_one_that_says_something_is_kept(bench: Bench) -> None:
    """A kill between a run's record and the end of its process leaves the log that was opened for it."""
    suite = bench.suite(seeds=1)
    bench.run(suite)
    records = [path for path in (bench.folder / "results").rglob("*.json") if is_record(path)]
    empty, full = (path.with_suffix(".log") for path in sorted(records))
    empty.touch()
    of_a_device = empty.with_suffix(".device1.log")
    of_a_device.touch()
    full.write_text("a warning")
    assert bench.run(suite) == 0
    assert not empty.exists()
    assert not of_a_device.exists()
    assert full.read_text() == "a warning"


def test_an_empty_log_of_a_run_that_another_runner_does_stays(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    bench.run(suite)
    (record,) = (path for path in (bench.folder / "results").rglob("*.json") if is_record(path))
    record.with_suffix(".lock").write_text(json.dumps({"host": HOST, "pid": os.getpid(), "since": 0}))
    record.with_suffix(".log").touch()
    assert bench.run(suite) == 0
    assert record.with_suffix(".log").exists()


def test_more_seeds_later_train_only_the_new_ones(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run(bench.suite(seeds=1))
    before = bench.records()
    capsys.readouterr()
    bench.run(bench.suite(seeds=2))
    assert "[3/4]" in capsys.readouterr().out
    assert len(bench.records()) == 4
    assert {key: record for key, record in bench.records().items() if key in before} == before


def test_failed_diverged_and_skipped_runs_are_records_with_a_reason(bench: Bench) -> None:
    names = bench.own("raises", "diverges", "dies", "unsuited", "unbuildable", "works")
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    assert bench.run(bench.suite(strategies=names, seeds=1, measures=["size", latency])) == 1
    found = {record["spec"]["strategy"]["name"].partition(".")[2]: record for record in bench.records().values()}
    assert {name: record["status"] for name, record in found.items()} == {
        "raises": "failed",
        "diverges": "diverged",
        "dies": "failed",
        "unsuited": "skipped",
        "unbuildable": "failed",
        "works": "done",
    }
    assert found["raises"]["reason"] == "RuntimeError: no idea (raises.py, line 19)"
    assert "SIGKILL" in found["dies"]["reason"]
    assert found["unbuildable"]["reason"].startswith("ValueError: no such shape")
    (session,) = (bench.folder / "results" / "tiny" / "digits" / "latency").glob("*.json")
    assert {row["strategy"] for row in json.loads(session.read_text())["rows"]} == {names[-1]}
    assert found["unsuited"]["reason"] == "needs a third hand"
    assert all(record["scores"] == {} for record in found.values() if record["status"] != "done")


def test_a_failed_run_is_done_again_only_when_asked(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    suite = bench.suite(strategies=bench.own("raises", "works"), seeds=1)
    assert bench.run(suite) == 1
    capsys.readouterr()
    assert bench.run(suite) == 1
    assert "[1/" not in capsys.readouterr().out
    assert bench.run(suite, "--again", "failed") == 1
    assert "[2/2]" in capsys.readouterr().out


def test_skipped_alone_is_no_failure(bench: Bench) -> None:
    assert bench.run(bench.suite(strategies=[*bench.own("unsuited"), "concat"], seeds=1)) == 0


def test_a_changed_plugin_is_another_run(bench: Bench) -> None:
    suite = bench.suite(strategies=bench.own("works"), seeds=1)
    plan = load_suite(suite)
    path = bench.folder / bench.package / "works.py"
    path.write_text(path.read_text() + "# changed\n")
    catalogue.describe.cache_clear()
    assert next(plan.runs()).key != next(load_suite(suite).runs()).key


def test_changed_data_are_an_error_at_resume_not_a_skip(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run(bench.suite(seeds=1))
    (manifest,) = (bench.data / "prepared").glob("digits-*/manifest.json")
    text = manifest.read_text()
    try:
        fingerprint = json.loads(text)["fingerprint"]
        manifest.write_text(text.replace(fingerprint, "f" * 64))
        capsys.readouterr()
        assert bench.run(bench.suite(seeds=2)) == 2
    finally:
        manifest.write_text(text)
    message = capsys.readouterr().err
    assert "data have changed" in message
    assert fingerprint[:12] in message
    assert "--results" in message
    assert len(bench.records()) == 2


def test_a_measure_added_later_leaves_the_record_alone(bench: Bench) -> None:
    bench.run(bench.suite(measures=[], seeds=1))
    before = bench.scores()
    assert not list((bench.folder / "results").rglob("*.size.json"))
    assert bench.run(bench.suite(measures=["size"], seeds=1)) == 0
    assert len(list((bench.folder / "results").rglob("*.size.json"))) == 2
    assert bench.scores() == before


def test_an_invalid_record_is_moved_aside_named_and_done_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(seeds=1)
    bench.run(suite)
    before = bench.scores()
    path = next(path for path in (bench.folder / "results").rglob("*.json") if path.stem in before)
    path.write_bytes(path.read_bytes()[:200])
    assert bench.run(suite) == 0
    assert f"{path.name}.invalid-1" in capsys.readouterr().err
    assert bench.scores() == before


def test_latency_is_one_session_per_dataset_and_not_taken_twice(bench: Bench) -> None:
    options = {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}
    suite = bench.suite(seeds=1, measures=["size", {"name": "latency", "options": options}])
    for _ in range(2):
        assert bench.run(suite) == 0
        (path,) = (bench.folder / "results" / "tiny" / "digits" / "latency").glob("*.json")
        rows = json.loads(path.read_text())["rows"]
        cells = {(row["strategy"], row["scope"]) for row in rows}
        assert cells == {(name, scope) for name in ("concat", "late") for scope in ("fusion", "end_to_end")}
        assert all(0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] for row in rows)


def test_a_wrong_option_stops_the_suite_before_anything_trains(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    strategies = ["concat", {"name": "low_rank", "options": {"rank": 0}}]
    assert bench.run(bench.suite(strategies=strategies)) == 2
    message = capsys.readouterr().err
    assert "rank" in message
    assert len(message.strip().splitlines()) <= 2
    assert bench.records() == {}


def test_the_test_rows_do_not_move_with_the_seed_and_validation_does(bench: Bench) -> None:
    first, second = (run for run in load_suite(bench.suite(strategies=["concat"])).runs())
    parts = []
    for run in (first, second):
        data = dataset_of(run, bench.data)
        data.setup()
        assert data.parts is not None
        parts.append(data.parts)
    assert np.array_equal(parts[0].test, parts[1].test)
    assert not np.array_equal(parts[0].validation, parts[1].validation)


def test_a_model_depends_on_its_seed_and_on_nothing_drawn_before(bench: Bench) -> None:
    first, second = (run for run in load_suite(bench.suite(strategies=["concat"])).runs())
    data = dataset_of(first, bench.data)
    data.setup()
    weights = []
    for run in (first, first, second):
        torch.rand(3)
        weights.append(build(run, setting_for(run, data.task)).state_dict())
    same = [torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values(), strict=True)]
    other = [torch.equal(a, b) for a, b in zip(weights[0].values(), weights[2].values(), strict=True)]
    assert all(same)
    assert not all(other)


def test_a_spec_survives_the_way_into_a_record(bench: Bench) -> None:
    for run in load_suite(bench.suite(strategies="all")).runs():
        assert type(run).from_json(json.loads(json.dumps(run.to_json()))) == run
        assert asdict(run)["seed"] == run.seed


def test_the_runner_finds_nothing_to_do_without_starting_a_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = bench.suite(seeds=1)
    bench.run(suite)

    def refuse(self: Runner, *arguments: object) -> None:
        raise AssertionError("prepared although nothing was to do")

    monkeypatch.setattr(Runner, "prepare", refuse)
    assert bench.run(suite) == 0
