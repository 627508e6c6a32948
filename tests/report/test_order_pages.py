"""Does the order hold? What is compared, with which numbers, and that no page says more than they allow."""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_up_orders import MANY, bench_of, fill
from made_up_suite import Bench, make
from scipy.stats import kendalltau

from fusionbench.cli.suites import tell
from fusionbench.plan.tracks import solves_own
from fusionbench.report.captions import caption
from fusionbench.report.comparisons import Comparison, own_comparisons, verdict
from fusionbench.report.contenders import field_of
from fusionbench.report.latex import latex
from fusionbench.report.layout import markdown
from fusionbench.report.order import order_csv, order_page
from fusionbench.report.overview import overview
from fusionbench.report.tables import Table, tables
from fusionbench.report.write import write_report
from fusionbench.stats.order import Agreement, Interval

SUITE = f"name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, {', '.join(MANY)}]\nseeds: 6\n"
APART = {"chance": 0.1, "unimodal+modality=left": 0.8, "unimodal+modality=right": 0.7} | {
    name: 0.9 + 0.01 * place for place, name in enumerate(MANY)
}
EQUAL = APART | dict.fromkeys(MANY, 0.9)


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def made(folder: Path, means: dict[str, float], text: str = SUITE, halves: bool = True) -> Bench:
    bench = bench_of(folder, text)
    fill(bench, means, halves=halves)
    return bench


def test_a_table_is_compared_on_half_of_its_seeds_half_of_its_rows_and_both(tmp_path: Path) -> None:
    found = one(made(tmp_path, APART)).comparisons
    assert [comparison.between for comparison in found] == [
        "seeds 0-2 and seeds 3-5",
        "halves of the test rows",
        "seeds 0-2 on one half of the test rows and seeds 3-5 on the other",
    ]
    assert {comparison.sources for comparison in found} == {"seeds and test rows"}
    assert [comparison.agreement and comparison.agreement.strategies for comparison in found] == [len(MANY)] * 3


def test_tau_is_that_of_the_means_which_the_records_give(tmp_path: Path) -> None:
    bench = made(tmp_path, EQUAL)
    records = {name: [bench.store.read(run) for run in bench.runs(name)] for name in MANY}
    resamples = {name: [bench.store.read_resamples(run) for run in bench.runs(name)] for name in MANY}
    scores = {name: [r.scores["test/accuracy"] for r in found if r] for name, found in records.items()}
    halves = {name: [r.halves["test/accuracy"] for r in found if r] for name, found in resamples.items()}
    whole = np.array([scores[name] for name in MANY])  # (8, 6)
    first, second = np.moveaxis(np.array([halves[name] for name in MANY]), 2, 0)  # (8, 6) each
    pairs = [
        (whole[:, :3].mean(1), whole[:, 3:].mean(1)),
        (first.mean(1), second.mean(1)),
        (first[:, :3].mean(1), second[:, 3:].mean(1)),
    ]
    for comparison, (a, b) in zip(one(bench).comparisons, pairs, strict=True):
        assert comparison.agreement
        assert comparison.agreement.all.value == pytest.approx(kendalltau(a, b).statistic)


def test_two_ways_of_matching_are_compared_over_the_rows_that_both_have(tmp_path: Path) -> None:
    options = "learning_rates: [1e-3], target: 9"
    tracks = (
        f"tracks: [same_encoders, {{name: matched_parameters, options: {{{options}}}, seeds: 3}},"
        f" {{name: matched_parameters, options: {{{options}, solve: own}}, seeds: 3}}]\n"
    )
    bench = bench_of(tmp_path, SUITE + tracks)
    for run in bench.suite.runs():
        if run.strategy.name in ("late", "concat") and solves_own(run.track):
            bench.ended(run, "skipped", "it has no option for a width of its own")
        else:
            draw = [run.seed, zlib.crc32(run.strategy.name.encode()), solves_own(run.track)]
            bench.done(run, 0.9 + 0.01 * float(np.random.default_rng(draw).normal()))
    same, head, own = tables(bench.suite, bench.store)
    assert not any("this track" in comparison.between for comparison in same.comparisons)
    (ours,), (theirs,) = ([c for c in table.comparisons if "this track" in c.between] for table in (head, own))
    assert ours.between == "this track and matched_parameters+solve=own+target=9"
    assert theirs.between == "this track and matched_parameters+target=9"
    shared = [name for name in MANY if name not in ("late", "concat")]
    means = [
        [row.scores["test/accuracy"].mean for name in shared for row in table.rows if row.strategy == name]
        for table in (head, own)
    ]
    for found in (ours, theirs):
        assert found.agreement
        assert found.agreement.strategies == len(shared)
        assert found.agreement.all.value == pytest.approx(kendalltau(*means).statistic)
        assert found.agreement.all.low < found.agreement.all.value < found.agreement.all.high
    assert "| this track and matched\\_parameters+target=9 | 6 | " in order_page(own)


def test_where_the_order_holds_the_page_says_so_and_the_best_is_bold(tmp_path: Path) -> None:
    table = one(made(tmp_path, APART))
    assert table.holds is True
    text = markdown(table, order="order.md")
    assert "The order of the 8 fusion strategies holds: tau 1.00 [" in text
    assert "Bold: the best mean" in text
    assert text.count("| **0.9") == 1
    assert "More on the order: [order.md](order.md)." in text


def test_where_tau_reaches_zero_no_page_says_better(tmp_path: Path) -> None:
    bench = made(tmp_path, EQUAL)
    table = one(bench)
    assert table.holds is False
    for text in (markdown(table), order_page(table), latex(table), "\n".join(caption(table)), overview([table])):
        assert "**" not in text
        assert "mathbf" not in text
        assert "better" not in text
        assert "Bold: the best" not in text
    assert "so no row is called the best." in markdown(table)
    assert not any(row.best for row in table.rows)


def test_records_without_halves_say_so_and_are_compared_by_seed_alone(tmp_path: Path) -> None:
    first, second = one(made(tmp_path, APART, halves=False)).comparisons
    assert first.agreement
    assert second.agreement is None
    assert "| halves of the test rows | - | - | - | - | these runs have no scores on halves of them |" in order_page(
        one(made(tmp_path / "again", APART, halves=False))
    )


def test_without_resamples_the_interval_is_over_seeds_alone(tmp_path: Path) -> None:
    bench = make(tmp_path, *MANY)
    for run in bench.runs():
        bench.done(run, APART[run.strategy.name])
    assert one(bench).comparisons[0].sources == "seeds"
    assert "seed 0 and seeds 1-2" in one(bench).comparisons[0].between


def test_one_seed_is_compared_by_rows_alone_and_without_resamples_not_at_all(tmp_path: Path) -> None:
    found = one(made(tmp_path, APART, SUITE.replace("seeds: 6", "seeds: 1"))).comparisons
    assert [(comparison.between, comparison.sources) for comparison in found] == [
        ("halves of the test rows", "test rows")
    ]
    bench = make(tmp_path / "bare", *MANY, seeds=1)
    for run in bench.runs():
        bench.done(run, 0.5)
    table = one(bench)
    assert table.holds is None
    assert order_page(table) == ""
    assert [path.name for path in write_report(bench.suite, bench.store) if "order" in path.name] == []
    assert "Bold: the highest mean" in "\n".join(caption(table))


def test_only_whole_and_comparable_fusions_are_in_the_order(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, SUITE)
    fill(bench, APART)
    table = one(bench)
    assert field_of(table.rows, table.metric).strategies == sorted(MANY)
    bench.store.path(bench.runs("late")[2]).unlink()
    bench.store.path(bench.runs("sum")[5]).unlink()
    bench.ended(bench.runs("sum")[5], "diverged", "loss is nan")
    found = field_of(one(bench).rows, table.metric)
    assert found.strategies == sorted(set(MANY) - {"late", "sum"})
    assert found.seeds == (0, 1, 2, 3, 4, 5)


def test_a_seed_that_few_have_yet_is_not_waited_for(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, SUITE)
    fill(bench, APART)
    for name in MANY[2:]:
        bench.store.path(bench.runs(name)[5]).unlink()
    found = field_of(one(bench).rows, "test/accuracy")
    assert (found.seeds, len(found.rows)) == ((0, 1, 2, 3, 4), len(MANY))


OTHER = SUITE.replace("name: mine", "name: longer").replace("seeds: 6", "seeds: 3")
ENCODERS = "encoders: {image: {name: small_cnn, options: {width: 32, channels: [16, 32]}}}"
LONGER = f"{OTHER}budget: {{epochs: 80}}\n{ENCODERS}\n"


def compared(folder: Path, means: dict[str, float]) -> Bench:
    (folder / "longer.yaml").write_text(LONGER)
    bench = bench_of(folder, f"{SUITE}compare_with: [longer.yaml]\n")
    fill(bench, APART)
    if means:
        fill(bench_of(folder, LONGER), means)
    return bench


def test_another_suite_is_compared_and_what_differs_is_said(tmp_path: Path) -> None:
    bench = compared(tmp_path, APART)
    found = one(bench).comparisons[-1]
    assert (found.between, found.suite, found.holds) == ("this suite and longer", "longer", True)
    assert found.differing == (
        "encoders.left.width 64, there 32",
        "encoders.right.width 64, there 32",
        "budget.epochs 20, there 80",
        "seeds 6, there 3",
    )
    assert "this suite and longer (encoders.left.width 64, there 32; " in order_page(one(bench))


def test_an_order_that_another_suite_turns_round_is_not_said_to_hold(tmp_path: Path) -> None:
    table = one(compared(tmp_path, APART | {name: 1.8 - APART[name] for name in MANY}))
    found = table.comparisons[-1]
    assert found.agreement
    assert found.agreement.all.value == -1
    assert table.holds is False
    assert "between this suite and longer reaches 0" in "".join(verdict(table.comparisons))


def test_a_suite_without_records_yet_is_a_line_with_the_reason(tmp_path: Path) -> None:
    table = one(compared(tmp_path, {}))
    assert table.comparisons[-1].reason == "not done there yet: 8 of 8 strategies"
    assert table.holds is True
    (last,) = list(csv.DictReader(order_csv(table).splitlines()))[-1:]
    assert (last["suite"], last["tau"], last["reason"][:12]) == ("longer", "", "not done the")


def test_a_suite_that_is_not_whole_is_waited_for_and_one_that_failed_is_not(tmp_path: Path) -> None:
    bench = compared(tmp_path, APART)
    other = bench_of(tmp_path, LONGER)
    for run in other.runs("sum"):
        other.store.path(run).unlink()
    assert one(bench).comparisons[-1].reason == "not done there yet: 1 of 8 strategies"
    for run in other.runs("sum"):
        other.ended(run, "failed", "out of memory")
    assert one(bench).comparisons[-1].holds
    for name in MANY[3:]:
        for run in other.runs(name):
            other.store.path(run).unlink()
            other.ended(run, "failed", "out of memory")
    assert one(bench).comparisons[-1].reason == "2 strategies are done in both, of at least 3"


def test_a_bad_record_of_the_other_suite_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = compared(tmp_path, APART)
    other = bench_of(tmp_path, LONGER)
    bad, foreign = (other.store.path(run) for run in other.runs("sum")[:2])
    bad.write_text("{")
    foreign.write_text(foreign.read_text().replace('"schema": 1', '"schema": 99'))
    for _ in tables(bench.suite, bench.store):
        pass
    bench.store.set_aside *= 2  # As where a suite has several tables.
    tell(bench.store)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(bad), str(foreign)]


def test_a_suite_of_other_data_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "longer.yaml").write_text(LONGER.replace("[digits]", "[synthetic_pid]").partition("encoders")[0])
    bench = bench_of(tmp_path, f"{SUITE}compare_with: [smoke]\n")
    fill(bench, APART)
    assert one(bench).comparisons[-1].reason == "not done there yet: 3 of 3 strategies"
    bench = bench_of(
        tmp_path, SUITE.replace("digits", "wdbc").replace("name: mine", "name: w") + "compare_with: [smoke]\n"
    )
    assert one(bench).comparisons[-1].reason == "smoke has no dataset wdbc"


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = compared(tmp_path / name, EQUAL)
        found.append({path.name: path.read_bytes() for path in write_report(bench.suite, bench.store)})
    assert found[0] == found[1]
    assert {"order.md", "order.csv", "admission.csv"} <= found[0].keys()


def test_the_csv_has_every_number_of_the_page(tmp_path: Path) -> None:
    table = one(made(tmp_path, EQUAL))
    lines = list(csv.DictReader(order_csv(table).splitlines()))
    assert len(lines) == 3
    for line, comparison in zip(lines, table.comparisons, strict=True):
        assert comparison.agreement
        assert float(line["tau"]) == pytest.approx(comparison.agreement.all.value, abs=1e-4)
        assert float(line["top_tau_wide_low"]) == pytest.approx(comparison.agreement.top_wide.low, abs=1e-4)


def test_too_few_strategies_are_not_compared(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late")
    bench.fill({"concat": 0.9, "late": 0.8})
    assert one(bench).comparisons == ()


def agreed(low: float) -> Agreement:
    every, top = Interval(0.8, 0.7, 0.9), Interval(0.3, low, 0.5)
    return Agreement(59, every, top, every, top)


def test_of_more_than_twenty_strategies_the_verdict_is_about_the_twenty_best() -> None:
    (held,) = verdict([Comparison("a and b", agreed(0.1)), Comparison("c and d", None, "not done")])
    assert held == "The order of the 20 best strategies holds: tau 0.30 [0.10, 0.50] between a and b."
    (failed,) = verdict([Comparison("a and b", agreed(0.1)), Comparison("c and d", agreed(-0.01))])
    assert failed == (
        "The order of the 20 best strategies is not seen to hold: tau 0.30 [-0.01, 0.50] between c and d reaches 0, "
        "so no row is called the best."
    )
    assert list(verdict([])) == []
    assert list(own_comparisons([], "test/accuracy")) == []
