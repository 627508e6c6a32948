"""A tuned suite, really run: as many trials for every strategy, never tested; finals train as the best mean says."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from small_suites import Bench, kill_tree

from fusionbench.bench.tuning import chosen_by_trials
from fusionbench.cli.main import main
from fusionbench.core.errors import Diverged, UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import DataFacts, Record
from fusionbench.records.store import Store
from fusionbench.records.trials import trials_of

SEEDS = [1_000_000, 1_000_001]
TUNED = {"name": "tuned", "options": {"trials": 2}}
XOR = {"name": "synthetic_pid", "options": {"relation": "synergy", "train": 256, "validation": 256, "test": 256}}
CHOSEN = ("learning_rate", "weight_decay", "dropout")


def tuned(bench: Bench, **changes: Any) -> str:
    tree = {"datasets": [XOR], "strategies": ["concat", "low_rank"], "tracks": [TUNED], "budget": {"epochs": 1}}
    return bench.suite(**{**tree, **changes})


def by_role(bench: Bench, role: str, results: str = "results") -> list[dict[str, Any]]:
    return [record for record in bench.records(results).values() if record["spec"]["role"] == role]


def test_trials_come_first_and_finals_take_over_the_best_mean(bench: Bench) -> None:
    suite = tuned(bench, strategies=["chance", "unimodal", "late", "low_rank"])
    assert bench.run(suite) == 0
    trials, finals = by_role(bench, "trial"), by_role(bench, "final")
    assert (len(trials), len(finals)) == (4 * 2 * 2, 5 * 2)
    assert max(record["finished"] for record in trials) <= min(
        r["started"] for r in finals if r["options"].get("tuning")
    )
    for record in trials:
        assert (record["test_evaluations"], record["scores"], record["status"]) == (0, {}, "done")
        assert record["spec"]["seed"] in SEEDS
    for record in finals:
        options, spec = record["options"], record["spec"]
        if spec["strategy"]["name"] == "chance":
            assert "tuning" not in options
            continue
        own: dict[tuple[object, ...], dict[int, float]] = {}
        for trial in trials:
            if trial["spec"]["strategy"] == spec["strategy"]:
                budget, of_its_own = trial["spec"]["budget"], trial["spec"]["track"]["options"].get("own", {})
                point = (*(budget[name] for name in CHOSEN), json.dumps(of_its_own, sort_keys=True))
                own.setdefault(point, {})[trial["spec"]["seed"]] = trial["validation"]["validation/accuracy"]
        best = max(own, key=lambda point: fmean(own[point].values()))
        assert (*(options[name] for name in CHOSEN), json.dumps(options.get("own", {}), sort_keys=True)) == best
        stated = options["tuning"]["validation"]
        assert sorted(map(tuple, stated)) == sorted((found[SEEDS[0]], found[SEEDS[1]]) for found in own.values())
        assert stated[options["tuning"]["best"]] == [own[best][seed] for seed in SEEDS]
        assert record["test_evaluations"] == 1
    without_test = {trial["key"] for trial in trials}
    assert not [path for path in bench.folder.rglob("*.npz") if path.stem in without_test]


def test_options_of_its_own_make_the_model_that_is_trained_measured_and_timed(bench: Bench) -> None:
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    suite = tuned(bench, strategies=["low_rank"], seeds=1, measures=[])
    assert bench.run(suite) == 0
    (final,) = by_role(bench, "final")
    own, width = final["options"]["own"], final["options"]["width"]
    assert set(own) == {"rank", "hidden"}
    assert "solved" not in final["options"]
    timed = tuned(bench, strategies=["low_rank"], seeds=1, measures=["size", latency])
    assert bench.run(timed) == 0  # The measures come later, from a model that is built anew.
    (size,) = (json.loads(path.read_text()) for path in bench.folder.rglob("*.size.json"))
    rank, hidden = own["rank"], own["hidden"]
    assert size["fusion_parameters"] == pytest.approx(rank * 2 * (width + 1) * hidden, rel=0.2)
    assert size["fusion_parameters"] != 74_882  # What its defaults have.
    (session,) = (json.loads(path.read_text()) for path in bench.folder.rglob("latency/*.json"))
    assert {row["strategy"] for row in session["rows"]} == {"low_rank"}


def test_a_model_whose_options_are_not_chosen_yet_is_not_timed(bench: Bench) -> None:
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    suite = tuned(bench, seeds=1, measures=[latency])
    assert bench.run(suite, "--only", "strategy=concat") == 0
    assert main(bench.arguments("latency", suite)) == 0
    sessions = [json.loads(path.read_text()) for path in bench.folder.rglob("latency/*.json")]
    assert {row["strategy"] for session in sessions for row in session["rows"]} == {"concat"}


def test_a_runner_killed_among_its_trials_goes_on_where_it_was_and_shards_share_them(bench: Bench) -> None:
    suite = tuned(bench, strategies=["concat"])
    assert bench.run(suite, results="undisturbed") == 0
    process = bench.start(suite)
    bench.wait_for_records(process, 2)
    kill_tree(process)
    before = bench.records()
    assert {record["spec"]["role"] for record in before.values()} <= {"trial"}
    several = [bench.start(suite, "--shard", shard) for shard in ("1/2", "2/2")]
    said = [process.communicate(timeout=200)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0], said
    assert bench.scores() == bench.scores("undisturbed")
    after = bench.records()
    assert all(after[key] == record for key, record in before.items())


def test_more_trials_and_seeds_repeat_none_that_are_there(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(tuned(bench, strategies=["concat"], seeds=1)) == 0
    before = {record["key"]: record["finished"] for record in by_role(bench, "trial")}
    capsys.readouterr()
    more = tuned(bench, strategies=["concat"], tracks=[{"name": "tuned", "options": {"trials": 4}}])
    assert bench.run(more) == 0
    assert "[6/6]" in capsys.readouterr().out  # Two points more at two seeds, and two finals of another search.
    after = {record["key"]: record["finished"] for record in by_role(bench, "trial")}
    assert len(after) == 8
    assert before.items() <= after.items()


def test_a_strategy_whose_trials_all_diverge_is_a_row_and_the_others_have_their_best(bench: Bench) -> None:
    (diverges,) = bench.own("diverges")
    suite = tuned(bench, strategies=[diverges, "concat"], seeds=1, measures=[])
    assert bench.run(suite) == 1
    ended = {record["spec"]["strategy"]["name"]: record for record in by_role(bench, "final")}
    assert ended["concat"]["status"] == "done"
    assert ended[diverges]["status"] == "diverged"
    assert ended[diverges]["reason"].startswith("every trial diverged: 4 of them: ")
    assert {r["status"] for r in by_role(bench, "trial") if r["spec"]["strategy"]["name"] == diverges} == {"diverged"}


@pytest.fixture
def run(tmp_path: Path) -> RunSpec:
    text = json.dumps({"name": "s", "datasets": [XOR], "strategies": ["low_rank"], "seeds": 1, "tracks": [TUNED]})
    (tmp_path / "s.yaml").write_text(text)
    return next(iter(load_suite(str(tmp_path / "s.yaml")).runs()))


def publish(store: Store, run: RunSpec, *given: float | str) -> None:
    """A record for each trial, seed by seed: the accuracy on validation, or the status that it ended with."""
    for trial, one in zip(trials_of(run, store), given, strict=True):
        values = {"validation/accuracy": one, "validation/nll": 1.0} if isinstance(one, float) else {}
        facts = {"validation": values, "data": DataFacts("x", "f", "s", {"train": 1})} if values else {"reason": "so"}
        status: Any = one if isinstance(one, str) else "done"
        store.publish(Record(trial.key, trial.to_json(), status, task={"metric": "accuracy"}, **facts))


def test_a_seed_that_did_not_end_well_is_stated_and_counts_against_its_point(run: RunSpec, tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    publish(store, run, 0.9, 0.6, "diverged", 0.7)
    chosen = chosen_by_trials(run, store)
    assert chosen.facts["tuning"] == {"best": 1, "seeds": SEEDS, "validation": [[0.9, None], [0.6, 0.7]]}
    assert chosen.budget.learning_rate == chosen.facts["learning_rate"] == trials_of(run, store)[1].budget.learning_rate
    assert chosen.own == chosen.facts["own"] == trials_of(run, store)[3].track.options["own"]


def test_where_no_trial_ended_well_the_run_says_how_many_ended_how(run: RunSpec, tmp_path: Path) -> None:
    publish(Store(tmp_path, "s"), run, "diverged", "diverged", "diverged", "failed")
    with pytest.raises(RuntimeError, match="every trial failed: 4 of them: so"):
        chosen_by_trials(run, Store(tmp_path, "s"))
    publish(Store(tmp_path, "t"), run, *["diverged"] * 4)
    with pytest.raises(Diverged):
        chosen_by_trials(run, Store(tmp_path, "t"))
    with pytest.raises(UserError, match=r"its trial [0-9a-f]{12} has no record; another runner may be at it"):
        chosen_by_trials(run, Store(tmp_path, "u"))
