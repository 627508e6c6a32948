"""Where lower is better, a report says of errors what it says of their mirror image, where higher is better."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_orders import bench_of
from made_up_suite import Bench
from matplotlib.figure import Figure

from fusionbench.plan.names import slug
from fusionbench.records.resamples import Resamples
from fusionbench.report import curves, forest, matrix
from fusionbench.report.collect import Outcome
from fusionbench.report.csvs import admission_csv, table_csv
from fusionbench.report.figures import picture
from fusionbench.report.front import figure_of
from fusionbench.report.latex import short_caption
from fusionbench.report.layout import markdown
from fusionbench.report.macros import macros
from fusionbench.report.opening import opening
from fusionbench.report.overview import overview
from fusionbench.report.pairs import pairs_csv
from fusionbench.report.paper_columns import paper_columns
from fusionbench.report.standings import standings
from fusionbench.report.tables import Table, tables
from fusionbench.report.verdict import best
from fusionbench.stats.estimate import Estimate

SUITE = """name: mine
datasets: [DIGITS, WDBC]
strategies: [chance, unimodal, late, sum, concat, gated, low_rank]
seeds: 6
families: [{name: all, rows: [late, sum, concat, gated, low_rank]}]
"""
MEANS = {"chance": 0.1, "late": 0.85, "sum": 0.84, "concat": 0.9, "gated": 0.91, "low_rank": 0.909}
"""Of single modalities 0.8."""


def made(folder: Path, *, lower: bool) -> list[Table]:
    """Two tables of made-up scores: accuracies a, or NLLs 1 - a."""
    words = ("{name: digits, metric: nll}", "{name: wdbc, metric: nll}") if lower else ("digits", "wdbc")
    bench = bench_of(folder, SUITE.replace("DIGITS", words[0]).replace("WDBC", words[1]))
    metric = "nll" if lower else "accuracy"
    for number, run in enumerate(bench.suite.runs()):
        name = slug("strategy", run.strategy)
        draw = np.random.default_rng([run.seed, zlib.crc32(name.encode()), len(run.dataset.name)])
        score = MEANS.get(name, 0.8) + 0.004 * float(draw.normal())
        rows = np.random.default_rng(zlib.crc32(name.encode())).normal(score, 0.003, 400)
        halves = [score + 0.002, score - 0.002]
        fill(bench, number, metric, 1 - score if lower else score, 1 - rows if lower else rows, halves, lower=lower)
    return list(tables(bench.suite, bench.store))


def fill(
    bench: Bench, number: int, metric: str, score: float, rows: np.ndarray, halves: list[float], *, lower: bool
) -> None:
    run = list(bench.suite.runs())[number]
    found = {f"test/{metric}": [round(float(value), 5) for value in rows]}
    parts = {f"test/{metric}": [1 - half if lower else half for half in halves]}
    bench.store.publish_resamples(run, Resamples(run.key, "d" * 64, "rows", 360, 400, found, parts))
    changes = {
        "task": {"kind": "multiclass", "classes": 10, "metric": metric, "modalities": []},
        "scores": {f"test/{metric}": score},
        "validation": {f"validation/{metric}": score, "epoch": 1.0},
    }
    record = bench.record(run, 0.0, **changes)
    assert record.data is not None
    bench.store.publish(replace(record, data=replace(record.data, name=run.dataset.name)))
    bench.size(run, zlib.crc32(slug("strategy", run.strategy).encode()) % 90_000 + 1_000)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Table], list[Table]]:
    return tuple(made(tmp_path_factory.mktemp("made"), lower=lower) for lower in (False, True))  # type: ignore[return-value]


Both = tuple[list[Table], list[Table]]


def same(one: Estimate | None, other: Estimate | None) -> bool:
    assert one is not None
    assert other is not None
    assert one.half_width is not None
    return other.mean == pytest.approx(one.mean, abs=1e-9) and other.half_width == pytest.approx(one.half_width)


def test_rows_are_ranked_bold_marked_and_on_the_front_alike(both: Both) -> None:
    for high, low in zip(*both, strict=True):
        assert low.metric == "test/nll"
        assert [row.strategy for row in low.rows] == [row.strategy for row in high.rows]
        assert low.rows[0].strategy in ("gated", "low_rank")
        assert low.rows[-1].strategy == "chance"
        for name in ("best", "mark", "front"):
            assert [getattr(row, name) for row in low.rows] == [getattr(row, name) for row in high.rows]
        assert sum(row.best for row in low.rows) == 1
        assert any(row.front for row in low.rows)
        assert low.rows[0].scores["test/nll"].mean == pytest.approx(1 - high.rows[0].scores["test/accuracy"].mean)


def test_what_validation_picks_what_is_gained_and_whether_an_order_holds_are_alike(both: Both) -> None:
    for high, low in zip(*both, strict=True):
        a, b = high.tests.headline, low.tests.headline
        assert a is not None
        assert b is not None
        assert (b.strategy, b.highest) == (a.strategy, a.highest)
        assert b.regret == pytest.approx(a.regret, abs=1e-9)
        one, other = high.admission, low.admission
        assert one is not None
        assert other is not None
        assert [chosen.strategy for chosen in other.chosen] == [chosen.strategy for chosen in one.chosen]
        assert all(chosen.estimate.mean < 0.5 for chosen in other.chosen)  # As readers know an NLL.
        for mine, theirs in zip(one.gains, other.gains, strict=True):
            assert same(mine.estimate, theirs.estimate)
            assert mine.is_shown == theirs.is_shown
        assert other.is_sanity_set is one.is_sanity_set is False
        for mine_, theirs_ in zip(high.comparisons, low.comparisons, strict=True):
            assert mine_.agreement is not None
            assert theirs_.agreement is not None
            assert theirs_.agreement.all.value == pytest.approx(mine_.agreement.all.value)
            assert theirs_.agreement.top.low == pytest.approx(mine_.agreement.top.low, abs=1e-6)
        assert low.holds == high.holds


def test_differences_to_references_and_pairs_are_tested_alike_and_plus_is_better(both: Both) -> None:
    for high, low in zip(*both, strict=True):
        for one, other in zip(high.tests.references, low.tests.references, strict=True):
            assert one.reference == other.reference
            for mine, theirs in zip(one.compared, other.compared, strict=True):
                assert same(mine.estimate, theirs.estimate)
                assert theirs.p == pytest.approx(mine.p)
        late = next(one for one in low.tests.references if one.reference == "late")
        gain = late.of("gated")
        assert gain is not None
        assert gain.estimate.mean > 0
        pairs = [list(csv.DictReader(io.StringIO(pairs_csv(table)))) for table in (high, low)]
        assert [(line["first"], line["second"], line["wins"]) for line in pairs[1]] == [
            (line["first"], line["second"], line["wins"]) for line in pairs[0]
        ]


def test_ranks_over_data_sets_are_alike(both: Both) -> None:
    high, low = (standings(found) for found in both)
    assert high is not None
    assert low is not None
    assert (low.strategies, low.mean_ranks) == (high.strategies, high.mean_ranks)
    assert low.wins.tolist() == high.wins.tolist()


def test_words_say_which_way_is_better(both: Both) -> None:
    low = both[1][0]
    text = markdown(low)
    assert "| NLL (lower is better) |" in text
    assert "; + is better." in text
    assert "no other strategy has at most that mean NLL at no more fusion parameters" in text
    assert "highest" not in text
    assert "Admission (NLL (lower is better); rows that validation picks)" in " ".join(opening(low))
    found = best(low)
    assert "is the best fusion by validation, test NLL 0.0" in found
    assert " below unimodal+modality=" in found
    assert "NLL (lower is better): mean ±" in overview(both[1])
    assert "Bold: the best mean of its column" in overview(both[1])
    assert "highest" in markdown(both[0][0])


def test_machines_read_scores_as_they_are(both: Both) -> None:
    low = both[1][0]
    lines = {line["strategy"]: line for line in csv.DictReader(io.StringIO(table_csv(low)))}
    assert lines["gated"]["ranked_by"] == "test/nll"
    assert 0.05 < float(lines["gated"]["validation"]) < 0.15
    assert float(lines["gated"]["over_late"]) > 0
    chosen = list(csv.DictReader(io.StringIO(admission_csv(low))))
    assert all(0 < float(line["mean"]) < 0.3 for line in chosen)


def test_the_picture_has_the_better_end_up_and_its_front_through_the_means(both: Both) -> None:
    for table, is_low in zip((both[0][0], both[1][0]), (False, True), strict=True):
        figure = figure_of(table)
        assert figure is not None
        (axes,) = figure.axes
        bottom, top = axes.get_ylim()
        assert (bottom > top) == is_low
        assert ("lower is better; axis reversed" in axes.get_ylabel().replace("(", "").replace(")", "")) == is_low
        steps = next(line for line in axes.get_lines() if line.get_drawstyle() == "steps-post")
        means = {row.scores[table.metric].mean for row in table.rows}
        assert all(any(abs(y - mean) < 1e-9 for mean in means) for y in np.asarray(steps.get_ydata()))


def test_pictures_of_differences_curves_and_pairs_and_papers_say_which_way_is_better(both: Both) -> None:
    (high, *_), (low, *_) = both
    for table, is_low in ((high, False), (low, True)):
        words = " ".join(short_caption(table, paper_columns(table)))
        assert ("lowest" in words, "highest" in words) == (is_low, not is_low)
        starred = " ".join(short_caption(table, paper_columns(table, wide=True)))
        assert "paired difference" in starred
        assert ("+ is better" in starred) == is_low
        numbers = macros(table)
        mean = re.search(r"HeadlineScore\}\{\\ensuremath\{([-\d.]+)", numbers)
        assert mean is not None
        assert (float(mean[1]) < 0.2) == is_low
        assert float(mean[1]) > 0


def test_curves_differences_and_pairs_have_the_better_end_up(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Figure] = []

    def kept(width: float, height: float, draw: Callable[[Figure], None]) -> dict[str, bytes]:
        found.append(picture(width, height, draw))
        return {}

    for module in (curves, forest, matrix):
        monkeypatch.setattr(module, "drawn", kept)
    for (table, *_), is_low in zip(both, (False, True), strict=True):
        found.clear()
        name = table.metric.replace("test/", "validation/")
        rows = [replace(row, outcomes=tuple(with_curve(one, name) for one in row.outcomes)) for row in table.rows]
        curves.curves_picture(replace(table, rows=tuple(rows)))
        forest.differences_picture(table)
        matrix.pairs_picture(table)
        curve, differences, pairs = found
        bottom, top = curve.axes[0].get_ylim()
        assert (bottom > top) == is_low
        assert ("(lower is better)" in curve.axes[0].get_ylabel()) == is_low
        for figure in (differences, pairs):
            assert ("NLL (+ is better)" in figure.get_suptitle().replace("\n", " ")) == is_low
        assert ("in hundredths" in pairs.get_suptitle().replace("\n", " ")) != is_low


def with_curve(outcome: Outcome, name: str) -> Outcome:
    assert outcome.record is not None
    return replace(outcome, record=replace(outcome.record, curves={name: [0.3, 0.2, 0.1]}))
