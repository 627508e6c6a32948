"""Runs of a strategy's mean: what they say is what the tables say, and a formula of others."""

from __future__ import annotations

import pytest
from published_suite import Published, made_up, timed
from scipy import stats
from wandb_files import read_all

from fusionbench.plan.suite import Choice
from fusionbench.publish.panels import view_title
from fusionbench.publish.summaries import interval, results_run, summary_run, table_run
from fusionbench.publish.workspaces import only, view_json, ws
from fusionbench.report.tables import Table, tables


def table_of(made: Published) -> Table:
    (found,) = tables(made.suite, made.store)
    return found


def test_a_strategys_run_has_mean_interval_seeds_and_costs(made: Published) -> None:
    for number, run in enumerate(made.runs):
        made.store.publish(made_up(run, "done", number**2))
    timed(made, 0.25, "2026-01-01")
    table = table_of(made)
    (row,) = [row for row in table.rows if row.strategy == "concat"]
    found = summary_run(table, row)
    scores = [made.record(run).scores["test/accuracy"] for run in made.runs if run.strategy.name == "concat"]
    low, high = stats.t.interval(0.95, len(scores) - 1, stats.tmean(scores), stats.sem(scores))
    ends = [found.summary[f"{end}/test/accuracy"] for end in ("low", "high")]
    assert ends == pytest.approx([low, high])
    assert found.summary["mean/test/accuracy"] == pytest.approx(stats.tmean(scores))
    assert found.summary["half_width/test/accuracy"] == pytest.approx((high - low) / 2)
    assert (found.summary["seeds"], found.summary["planned"], found.summary["done"]) == (2, 2, 2)
    assert (found.summary["cost/latency_ms"], found.summary["cost/train_seconds"]) == (0.25, 1.25)
    assert found.summary["cost/fusion_parameters"] == 2890
    assert (found.job_type, found.group) == ("concat", "tiny/digits/same_encoders")
    assert found.config["role"] in found.tags


def test_what_is_said_of_a_score_is_what_the_table_says(made: Published) -> None:
    table = table_of(made)
    for row in table.rows:
        for name, score in row.scores.items():
            assert interval(row, name) is score


def test_one_seed_has_no_interval_and_a_strategy_without_a_score_is_there_with_its_states(made: Published) -> None:
    table = table_of(made)
    concat, late = (summary_run(table, row).summary for row in table.rows)
    assert "mean/test/accuracy" in concat
    assert "half_width/test/accuracy" not in concat
    assert (concat["done"], concat["failed"]) == (1, 1)
    assert (late["diverged"], late["skipped"], late["seeds"]) == (1, 1, 0)
    assert [row[1] for row in table_run(table).tables["ranked"].rows] == ["concat"]


def test_they_read_back_from_files_beside_the_seeds_runs(made: Published) -> None:
    assert made.call("dashboard", "--wandb", "offline") == 0
    sent = read_all(made.wandb)
    assert len(sent) == 8
    (found,) = [runs[0] for runs in sent.values() if runs[0].name == "concat, 1 seeds"]
    assert found.summary["mean/test/accuracy"] == made.record(made.runs[0]).scores["test/accuracy"]
    assert found.history[0]["mean/test/accuracy"] == found.summary["mean/test/accuracy"]
    assert (found.group, found.job_type, found.host) == ("tiny/digits/same_encoders", "concat", "results")
    (table,) = [runs[0] for runs in sent.values() if runs[0].job_type == "table"]
    assert table.history[0]["ranked/_type"] == "table-file"


def test_the_results_are_bundled_without_predictions_and_without_wandbs_own(made: Published) -> None:
    made.store.path(made.runs[0], ".npz").write_bytes(b"x")
    made.store.path(made.runs[0], ".lock").write_bytes(b"x")
    made.call("push", "--wandb", "offline")
    bundle = results_run(made.suite, made.store).bundle
    assert bundle is not None
    records = {made.store.path(run).relative_to(made.store.root).as_posix() for run in made.runs}
    assert records < set(bundle.files)
    assert {name.rpartition(".")[2] for name in bundle.files} == {"json"}


def test_a_moved_folder_is_the_same_content(made: Published) -> None:
    made.call("report")
    before = results_run(made.suite, made.store)
    made.store.root.parent.rename(made.folder / "moved")
    made.store.root = made.folder / "moved" / "tiny"
    assert results_run(made.suite, made.store).digest == before.digest


def test_filters_hold_the_groups_name_to_the_letter() -> None:
    name = "quickstart/synthetic_pid+relation=synergy/matched_parameters+target=100000"
    made = ws.Workspace(entity="", project="p", name="w")
    only(made, [("group", "=", name), ("tags", "IN", ["final"])])
    first, second = view_json(made)["spec"]["section"]["runSets"][0]["filters"]["filters"]
    assert (first["value"], second["value"], second["connector"]) == (name, ["final"], "AND")


def test_a_name_with_signs_makes_a_title_that_the_library_takes(made: Published) -> None:
    run = made.runs[0]
    table = table_of(made)
    assert view_title(table) == "fusionbench: tiny, digits, same_encoders"
    odd = Table(**{**vars(table), "track": Choice("matched_parameters", {"target": 1000})})
    assert view_title(odd) == "fusionbench: tiny, digits, matched_parameters target 1000"
    assert run.track.name == "same_encoders"
