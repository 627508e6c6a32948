"""Records to rows: what is shown, what is marked, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_suite import FINGERPRINT, Bench, make
from scipy import stats

from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice
from fusionbench.records.record import RESULTS_VERSION, DataFacts, to_text
from fusionbench.records.store import Store
from fusionbench.report import rows as report_rows
from fusionbench.report.captions import caption
from fusionbench.report.csvs import table_csv
from fusionbench.report.layout import markdown
from fusionbench.report.notes import note
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table, tables


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def row(table: Table, strategy: str) -> TableRow:
    return next(row for row in table.rows if row.strategy == strategy)


def test_a_row_holds_the_mean_and_the_t_interval_of_its_seeds(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    values = [0.91, 0.93, 0.95]
    for run, value in zip(bench.runs(), values, strict=True):
        bench.done(run, value)
    found = one(bench).rows[0].scores["test/accuracy"]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.half_width == pytest.approx((high - low) / 2)


def test_rows_are_sorted_by_the_metric_and_those_without_one_come_last(tmp_path: Path) -> None:
    bench = make(tmp_path, "late", "concat", "gated", "sum")
    for strategy, value in (("concat", 0.8), ("gated", 0.9), ("sum", 0.85)):
        for run in bench.runs(strategy):
            bench.done(run, value)
    table = one(bench)
    assert [row.strategy for row in table.rows] == ["gated", "sum", "concat", "late"]
    assert [row.best for row in table.rows] == [True, False, False, False]


def test_a_suite_without_records_has_a_table_of_missing_runs(tmp_path: Path) -> None:
    table = one(make(tmp_path, "concat", "late"))
    assert [row.strategy for row in table.rows] == ["concat", "late"]
    assert {outcome.state for row in table.rows for outcome in row.outcomes} == {"missing"}
    assert table.metric == ""
    assert not any(row.best or row.front for row in table.rows)


def test_only_planned_runs_are_shown(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late")
    bench.fill({"concat": 0.9, "late": 0.8})
    smaller = replace(bench.suite, seeds=(0, 1), rows=bench.suite.rows[:1])
    (table,) = tables(smaller, bench.store)
    assert [(row.strategy, len(row.outcomes)) for row in table.rows] == [("concat", 2)]


def test_unimodal_has_a_row_for_each_modality(tmp_path: Path) -> None:
    assert {row.strategy for row in one(make(tmp_path, "unimodal")).rows} == {
        "unimodal+modality=left",
        "unimodal+modality=right",
    }


def test_a_row_with_a_diverged_run_is_neither_best_nor_on_the_front(tmp_path: Path) -> None:
    bench = make(tmp_path, "gated", "concat")
    for run in bench.runs("concat"):
        bench.done(run, 0.8)
        bench.size(run, 100)
    first, *others = bench.runs("gated")
    bench.ended(first, "diverged", "loss is nan")
    for run in others:
        bench.done(run, 0.99)
        bench.size(run, 50)
    table = one(bench)
    gated = row(table, "gated")
    assert (gated.done, gated.comparable, gated.best, gated.front) == (2, False, False, False)
    assert row(table, "concat").best
    assert row(table, "concat").front


def test_a_missing_run_leaves_a_row_comparable(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    for run in bench.runs()[:2]:
        bench.done(run, 0.9)
    found = one(bench).rows[0]
    assert (found.done, found.comparable, found.best) == (2, True, True)
    assert found.scores["test/accuracy"].half_width == 0.0


def test_equal_means_are_both_bold(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "gated", seeds=2)
    for run in bench.runs():
        bench.done(run, 0.9)
    assert [row.best for row in one(bench).rows] == [True, True]


def test_the_front_weighs_latency_and_leaves_chance_out(tmp_path: Path) -> None:
    bench = make(tmp_path, "chance", "concat", "gated", "late")
    bench.fill({"chance": 0.1, "concat": 0.9, "gated": 0.95, "late": 0.7}, sd=0.001)
    bench.timed({"chance": 0.01, "concat": 1.0, "gated": 2.0, "late": 1.5})
    table = one(bench)
    assert table.cost == "latency"
    assert {row.strategy for row in table.rows if row.front} == {"concat", "gated"}


def test_without_latency_the_front_weighs_fusion_parameters(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "gated")
    for run in bench.runs():
        small = run.strategy.name == "concat"
        bench.done(run, 0.9 if small else 0.8)
        bench.size(run, 100 if small else 200)
    table = one(bench)
    assert table.cost == "parameters"
    assert {row.strategy for row in table.rows if row.front} == {"concat"}


def test_facts_come_from_the_strategys_source(tmp_path: Path) -> None:
    found = one(make(tmp_path, "chance", "concat", "gated"))
    facts = {row.strategy: (row.fidelity, row.interaction, row.uses) for row in found.rows}
    assert facts == {
        "chance": ("", "none", "none"),
        "concat": ("faithful", "full", "all"),
        "gated": ("faithful", "full", "all"),
    }


def test_facts_that_a_source_leaves_out_are_those_of_the_base_class() -> None:
    inherited = (FusionModule.fidelity, FusionModule.interaction, FusionModule.uses)
    assert inherited == (report_rows.FIDELITY, report_rows.INTERACTION, report_rows.USES)


def test_a_users_strategy_whose_module_is_gone_has_a_row_with_blanks(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    lost = replace(bench.suite.rows[0], strategy=Choice("gone_lab.fusão", {"width": 3}, "ab" * 32))
    for run in bench.runs():
        bench.done(run, 0.9)
    (table,) = tables(replace(bench.suite, rows=(*bench.suite.rows, lost)), bench.store)
    found = table.rows[-1]
    assert found.strategy.startswith("gone_lab.fusão+")
    assert (found.fidelity, found.interaction, found.done) == ("", "", 0)
    assert "gone_lab" in found.outcomes[0].reason


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"data": DataFacts("digits", "0b" * 32, f"{1:064x}", {})}, "data fingerprint of 0b0b0b0b0b0b"),
        ({"task": {"metric": "gap20"}}, "metric of test/accuracy"),
    ],
)
def test_what_does_not_compare_is_refused(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    bench = make(tmp_path, "concat", seeds=2)
    first, second = bench.runs()
    bench.done(first, 0.9)
    bench.done(second, 0.9, **changes)
    with pytest.raises(UserError, match=what) as raised:
        one(bench)
    assert "--results" in str(raised.value)


def test_a_record_of_an_older_results_version_is_a_missing_run(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", seeds=2)
    first, second = bench.runs()
    bench.done(first, 0.9)
    path = bench.store.path(second)
    path.write_text(to_text(bench.record(second, 0.2, results_version=RESULTS_VERSION - 1)))
    (found,) = one(bench).rows
    assert (found.done, found.scores["test/accuracy"].mean) == (1, 0.9)
    assert note(found) == "1 missing (seed 1: of an older results version)"


def test_a_row_says_what_its_models_say_of_themselves_once(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", seeds=2)
    for run in bench.runs():
        bench.done(run, 0.9, notes=["KL weight reached: 0.4 of 1", "66,048 idle parameters"])
    assert note(one(bench).rows[0]) == "KL weight reached: 0.4 of 1; 66,048 idle parameters"


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ("{epochs: 3}", ""),
        ("{optimiser: sgd, momentum: 0.9}", "Trained by SGD with momentum 0.9."),
        ("{optimiser: sgd}", "Trained by SGD without momentum."),
    ],
)
def test_a_caption_names_the_optimiser_where_it_is_another_one(tmp_path: Path, budget: str, told: str) -> None:
    bench = make(tmp_path, "concat", "late", more=f"budget: {budget}")
    bench.fill({"concat": 0.9, "late": 0.8})
    assert [line for line in caption(one(bench)) if "Trained by" in line] == [told] * bool(told)


@pytest.mark.parametrize(
    ("rates", "chosen", "at_limit"),
    [
        ((3e-4, 1e-3, 3e-3), 1e-3, False),
        ((3e-4, 1e-3, 3e-3, 9e-3), 9e-3, False),  # The grid was broken off; it may still grow.
        ((3e-4, 1e-3, 3e-3, 9e-3, 2.7e-2), 2.7e-2, True),
    ],
)
def test_a_rate_at_the_last_place_that_a_grid_may_reach_is_named_with_its_curve(
    tmp_path: Path, rates: tuple[float, ...], chosen: float, at_limit: bool
) -> None:
    text = "name: mine\ndatasets: [digits]\nstrategies: [concat]\nseeds: 1\ntracks: [matched_parameters]\n"
    suite = suite_of(parse_source(text, "mine.yaml"))
    bench = Bench(suite, Store(tmp_path, suite.name))
    trials = {f"{rate}": None if rate == 3e-4 else rate for rate in rates}
    options = {"learning_rate": chosen, "trials": trials, "target_parameters": 9, "head_width": 5, "width": 5}
    bench.done(bench.runs()[0], 0.9, options=options)
    table = one(bench)
    words = "0.027 is the last of its grid (on validation 0.0003: not done, 0.001: 0.0010, 0.003: 0.0030"
    assert (words in note(table.rows[0])) == at_limit
    assert ("At the last rate that the grid may reach: concat." in caption(table)) == at_limit
    assert "the next (3 times) was tried too, 2 each way" in " ".join(caption(table))


@pytest.mark.parametrize(("head", "flagged"), [(127, True), (128, False)])
def test_a_head_that_is_narrower_than_the_encodings_is_flagged(tmp_path: Path, head: int, flagged: bool) -> None:
    bench = make(tmp_path, "concat", seeds=1)
    bench.done(bench.runs()[0], 0.9, options={"target_parameters": 9, "head_width": head, "width": 128})
    assert ("heads of 127 units, fewer than the 128 of an encoding" in note(one(bench).rows[0])) == flagged


@pytest.mark.parametrize(("fixed", "units", "flagged"), [(15, 120, True), (16, 128, False)])
def test_the_heads_of_a_wide_baseline_count_as_they_are_built(
    tmp_path: Path, fixed: int, units: int, flagged: bool
) -> None:
    bench = make(tmp_path, "concat_wide", seeds=1)
    (run,) = bench.runs()
    bench.done(run, 0.9, options={"target_parameters": 9, "head_width": fixed, "width": 128})
    bench.size(run, 1_000)
    assert (f"heads of {units} units, fewer than the 128 of an encoding" in note(one(bench).rows[0])) == flagged
    assert f"| {units} |" in markdown(one(bench))


def test_a_matched_table_names_what_has_no_head(tmp_path: Path) -> None:
    track = "{name: matched_parameters, options: {target: 9, learning_rates: [1e-3]}}"
    text = f"name: mine\ndatasets: [digits]\nstrategies: [concat, stacking, chance]\nseeds: 1\ntracks: [{track}]\n"
    suite = suite_of(parse_source(text, "mine.yaml"))
    bench = Bench(suite, Store(tmp_path, suite.name))
    for run, options in zip(bench.runs(), ({"target_parameters": 9}, {}, {}), strict=True):
        bench.done(run, 0.9, options={"head_width": 64, "width": 64, **options})
    table = one(bench)
    assert "Without a head, and as they are: stacking." in caption(table)
    row = next(line for line in markdown(table).splitlines() if line.startswith("| `stacking`"))
    assert "64" not in row


def test_a_table_of_own_widths_names_the_option_and_its_value(tmp_path: Path) -> None:
    track = "{name: matched_parameters, options: {solve: own, target: 9, learning_rates: [1e-3]}}"
    text = f"name: mine\ndatasets: [digits]\nstrategies: [gated, concat]\nseeds: 1\ntracks: [{track}]\n"
    suite = suite_of(parse_source(text, "mine.yaml"))
    bench = Bench(suite, Store(tmp_path, suite.name))
    first, second = bench.runs()
    options = {"target_parameters": 9, "head_width": 64, "width": 64, "solved": {"hidden": 12}}
    bench.done(first, 0.9, options=options)
    bench.size(first, 9)
    bench.ended(second, "skipped", "it has no option for a width of its own")
    table = one(bench)
    assert note(table.rows[0]) == ""
    assert "| own width |" in markdown(table)
    assert "| hidden=12 |" in markdown(table)
    assert "own_width" in table_csv(table).splitlines()[0]
    words = (
        "Every strategy with a width of its own has 9 fusion parameters within 5 %: it is solved for; heads are as wide"
    )
    assert words in " ".join(caption(table))
    plain = make(tmp_path / "plain", "concat", seeds=1)
    plain.fill({"concat": 0.9})
    assert "own width" not in markdown(one(plain))
    assert "own_width" not in table_csv(one(plain))


def test_parameters_that_only_training_needs_have_a_column_where_there_are_any(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", seeds=1)
    for run, alone in zip(bench.runs(), (0, 1_234), strict=True):
        bench.done(run, 0.9)
        bench.store.publish_measure(run, "size", {"fusion_parameters": 5_000, "training_parameters": alone})
    assert "| in training alone |" in markdown(one(bench))
    assert "| 1.23 k |" in markdown(one(bench))
    plain = make(tmp_path / "plain", "concat", seeds=1)
    plain.fill({"concat": 0.9})
    assert "in training alone" not in markdown(one(plain))


def test_another_split_at_the_same_seed_is_refused(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "gated", seeds=1)
    first, second = bench.runs()
    bench.done(first, 0.9)
    bench.done(second, 0.9, data=DataFacts("digits", FINGERPRINT, "ff" * 32, {}))
    with pytest.raises(UserError, match="seed 0: one table cannot mix a split"):
        one(bench)
