"""A suite at matched parameters, really run: trials first, never tested; finals take the best learning rate over."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_suites import Bench, kill_tree

from fusionbench.bench.tuning import chosen_by_trials
from fusionbench.cli.main import main
from fusionbench.core.errors import Diverged, UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import DataFacts, InvalidRecord, Record, from_text, to_text
from fusionbench.records.store import Store
from fusionbench.records.trials import trials_of

MATCHED = {"name": "matched_parameters", "options": {"target": 9000, "learning_rates": [1e-4, 1e-2], "grow": 0}}


def test_trials_come_first_and_finals_take_over_the_best_learning_rate(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat", "late"], seeds=2, tracks=[MATCHED], budget={"epochs": 2})
    assert bench.run(suite) == 0
    records = list(bench.records().values())
    trials = [record for record in records if record["spec"]["role"] == "trial"]
    finals = [record for record in records if record["spec"]["role"] == "final"]
    assert (len(trials), len(finals)) == (4, 4)
    assert max(record["finished"] for record in trials) <= min(record["started"] for record in finals)
    for record in trials:
        assert (record["test_evaluations"], record["scores"], record["spec"]["seed"]) == (0, {}, 1_000_000)
        assert record["validation"]["validation/accuracy"] > 0
    for record in finals:
        own = {
            str(trial["spec"]["budget"]["learning_rate"]): trial["validation"]["validation/accuracy"]
            for trial in trials
            if trial["spec"]["strategy"] == record["spec"]["strategy"]
        }
        assert record["options"]["trials"] == own
        assert record["options"]["learning_rate"] == float(max(own, key=lambda rate: own[rate]))
        assert abs(record["options"]["fusion_parameters"] - 9000) <= 450
        assert record["test_evaluations"] == 1
    assert not [path for path in bench.folder.rglob("*.npz") if path.stem in {trial["key"] for trial in trials}]


def test_a_width_of_its_own_is_the_same_in_trials_finals_and_measures(bench: Bench) -> None:
    track = {"name": "matched_parameters", "options": {**MATCHED["options"], "solve": "own"}}  # type: ignore[dict-item]
    suite = bench.suite(strategies=["concat", "sum"], seeds=1, tracks=[track], budget={"epochs": 1}, measures=["size"])
    assert bench.run(suite) == 0
    records = list(bench.records().values())
    done = [record for record in records if record["status"] == "done"]
    assert {record["spec"]["strategy"]["name"] for record in done} == {"sum"}
    assert sorted(record["spec"]["role"] for record in done) == ["final", "trial", "trial"]
    (solved,) = {json.dumps(record["options"]["solved"]) for record in done}
    assert list(json.loads(solved)) == ["hidden"]
    sizes = [json.loads(path.read_text())["fusion_parameters"] for path in bench.folder.rglob("*.size.json")]
    assert set(sizes) == {record["options"]["fusion_parameters"] for record in done}
    assert all(abs(size - 9000) <= 450 for size in sizes)
    reasons = {record["reason"] for record in records if record["status"] == "skipped"}
    assert [reason.partition(":")[0] for reason in reasons] == ["it has no option for a width of its own"]


def test_a_second_call_repeats_no_trial_and_a_new_seed_needs_none(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run(bench.suite(strategies=["concat"], seeds=1, tracks=[MATCHED]))
    before = bench.records()
    capsys.readouterr()
    bench.run(bench.suite(strategies=["concat"], seeds=2, tracks=[MATCHED]))
    said = capsys.readouterr().out
    assert "[2/2]" in said
    assert "trial" not in said.partition("|")[0]
    assert len(bench.records()) == len(before) + 1


def test_a_run_named_by_only_brings_its_trials_along(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat", "late"], seeds=2, tracks=[MATCHED])
    assert bench.run(suite, "--only", "strategy=late", "--only", "seed=1") == 0
    found = [(r["spec"]["strategy"]["name"], r["spec"]["role"]) for r in bench.records().values()]
    assert sorted(found) == [("late", "final"), ("late", "trial"), ("late", "trial")]


def test_both_tracks_share_a_folder_yet_no_table_and_no_latency_session(bench: Bench) -> None:
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    tracks = ["same_encoders", {**MATCHED, "options": {"target": 30_000, "learning_rates": [1e-3]}}]
    suite = bench.suite(strategies=["concat", "cross_attention"], seeds=1, tracks=tracks, measures=["size", latency])
    assert bench.run(suite) == 0
    sessions = [json.loads(path.read_text()) for path in bench.folder.rglob("latency/*.json")]
    rows = {s["track"]["name"]: {row["strategy"] for row in s["rows"]} for s in sessions}
    assert rows == {"same_encoders": {"concat", "cross_attention"}, "matched_parameters": {"concat"}}
    (table,) = bench.folder.rglob("table-matched_parameters+target=30000.csv")
    by_strategy = {row["strategy"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert abs(int(by_strategy["concat"]["fusion_parameters"]) - 30_000) <= 1500
    assert "out of reach" in by_strategy["cross_attention"]["notes"]
    text = table.with_suffix(".md").read_text()
    assert "has 30,000 fusion parameters within 5 %" in text
    assert "| head width |" in text
    assert "Learning rate 0.001 for all." in text


@pytest.fixture
def run(tmp_path: Path) -> RunSpec:
    text = f"{{name: s, datasets: [digits], strategies: [concat], seeds: 1, tracks: [{json.dumps(MATCHED)}]}}"
    (tmp_path / "s.yaml").write_text(text)
    return next(iter(load_suite(str(tmp_path / "s.yaml")).runs()))


def with_trials(store: Store, run: RunSpec, *scores: tuple[float, float] | str) -> None:
    """Publish a trial for each learning rate: (accuracy, NLL) on validation, or the status that it ended with."""
    for trial, given in zip(trials_of(run, store), scores, strict=True):
        record = Record(trial.key, trial.to_json(), "done", task={"metric": "accuracy"})
        if isinstance(given, str):
            record = replace(record, status=given, reason=f"it {given}")  # type: ignore[arg-type]
        else:
            values = {"validation/accuracy": given[0], "validation/nll": given[1]}
            record = replace(record, validation=values, data=DataFacts("digits", "f", "s", {"train": 1}))
        store.publish(record)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (((0.9, 0.3), (0.8, 0.1)), 1e-4),
        (((0.8, 0.3), (0.9, 0.9)), 1e-2),
        (((0.9, 0.3), (0.9, 0.2)), 1e-2),  # A tie: the lower NLL.
        (((0.9, 0.3), "diverged"), 1e-4),
        (("failed", (0.1, 9.0)), 1e-2),
    ],
)
def test_the_best_trial_on_validation_gives_the_learning_rate(
    run: RunSpec, tmp_path: Path, scores: tuple[tuple[float, float] | str, ...], expected: float
) -> None:
    store = Store(tmp_path, "s")
    with_trials(store, run, *scores)
    chosen = chosen_by_trials(run, store)
    assert chosen.budget.learning_rate == expected
    stated = [None if isinstance(score, str) else score[0] for score in scores]
    assert chosen.facts["trials"] == dict(zip(("0.0001", "0.01"), stated, strict=True))


def test_where_no_trial_ended_well_the_run_says_how_they_ended(run: RunSpec, tmp_path: Path) -> None:
    for statuses, kind in ((("diverged", "diverged"), Diverged), (("diverged", "failed"), RuntimeError)):
        store = Store(tmp_path / statuses[1], "s")
        with_trials(store, run, *statuses)
        with pytest.raises(kind, match=f"0.0001: it diverged; 0.01: it {statuses[1]}"):
            chosen_by_trials(run, store)


def test_a_run_whose_trials_are_gone_is_not_trained_with_any_rate(run: RunSpec, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no record; another runner may be at it"):
        chosen_by_trials(run, Store(tmp_path, "s"))


def test_a_trial_that_saw_the_test_rows_is_no_record(run: RunSpec, tmp_path: Path) -> None:
    trial = trials_of(run, Store(tmp_path, "s"))[0]
    validation = {"validation/accuracy": 0.9}
    record = Record(
        trial.key, trial.to_json(), "done", validation=validation, data=DataFacts("digits", "f", "s", {}), scores={}
    )
    assert from_text(to_text(record)) == record
    with pytest.raises(InvalidRecord, match="a trial that was evaluated on the test rows"):
        from_text(to_text(replace(record, scores={"test/accuracy": 0.9})))


GROWS = {"name": "matched_parameters", "options": {"target": 9000, "learning_rates": [1e-5, 1e-4]}}
"""So slow that the largest is the best, twice over."""


def rates_tried(bench: Bench, results: str = "results") -> list[float]:
    specs = [record["spec"] for record in bench.records(results).values() if record["spec"]["role"] == "trial"]
    return sorted(spec["budget"]["learning_rate"] for spec in specs)


def test_a_runner_killed_between_rounds_of_trials_goes_on_where_it_was(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(strategies=["concat"], seeds=2, tracks=[GROWS])
    assert bench.run(suite, results="undisturbed") == 0
    assert "[6/6]" in capsys.readouterr().out
    expected = [1e-5, 1e-4, 3e-4, 9e-4]
    assert rates_tried(bench, "undisturbed") == expected
    for done in (2, 3):
        process = bench.start(suite)
        bench.wait_for_records(process, done)
        kill_tree(process)
        known = rates_tried(bench)
        assert known == expected[: len(known)]
        assert main(bench.arguments("plan", suite)) == 0
        assert f"2 runs and {min(len(known) + (len(known) > 1), 4)} trials before them" in capsys.readouterr().out
    for shard in ("1/2", "2/2"):
        assert bench.run(suite, "--shard", shard) == 0
    assert bench.scores() == bench.scores("undisturbed")
    finals = [record for record in bench.records().values() if record["spec"]["role"] == "final"]
    assert {tuple(sorted(map(float, record["options"]["trials"]))) for record in finals} == {tuple(expected)}
    assert {record["options"]["learning_rate"] for record in finals} == {9e-4}
