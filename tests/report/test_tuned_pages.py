"""What the track `tuned` leaves: both ways side by side, every trial, the searches, and what no interval holds."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from made_up_searches import SCORES, SUITE, made, tried
from made_up_suite import Bench
from PIL import Image

from fusionbench.core.errors import UserError
from fusionbench.plan.names import slug
from fusionbench.plan.tracks import has_trials
from fusionbench.report.captions import caption
from fusionbench.report.tables import tables
from fusionbench.report.tuned import tuned_files
from fusionbench.report.tuned_page import tuned_page
from fusionbench.report.tuned_rows import TunedRow, Tuning, tunings
from fusionbench.report.write import write_report
from fusionbench.stats.estimate import difference

FILES = ("tuned.md", "tuned.csv", "trials.csv", "search.csv", "tuned.png", "tuned.pdf")


def one(bench: Bench) -> Tuning:
    (found,) = tunings(bench.suite, bench.store)
    return found


def row_of(found: Tuning, strategy: str) -> TunedRow:
    return next(row for row in found.rows if row.strategy == strategy)


def lines(bench: Bench, name: str) -> list[dict[str, str]]:
    content = {path.name: content for path, content in tuned_files(bench.suite, bench.store, None)}
    return list(csv.DictReader(io.StringIO(content[name].decode())))


def cells(text: str, strategy: str) -> dict[str, str]:
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return next(dict(zip(table[0], row, strict=False)) for row in table if row[0] == f"`{strategy}`")


def test_report_writes_it_beside_the_tables_of_both_tracks(tmp_path: Path) -> None:
    bench = made(tmp_path)
    paths = write_report(bench.suite, bench.store)
    assert [path.name for path in paths][-len(FILES) - 1 :] == [*FILES, "checklist.tex"]
    assert {path.parent for path in paths[:-1]} == {tmp_path / "results" / "mine" / "digits"}
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_report(bench.suite, bench.store)] == before
    with Image.open(paths[-3]) as image:
        assert image.width == 2100
        assert len(image.getcolors(1 << 20) or []) > 20
    assert paths[-2].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in paths[-2].read_bytes()


def test_a_suite_that_tunes_nothing_has_none_of_it(tmp_path: Path) -> None:
    bench = made(tmp_path, SUITE.replace(", {name: tuned, options: {trials: 4}}", ""))
    assert list(tuned_files(bench.suite, bench.store, None)) == []
    (table,) = tables(bench.suite, bench.store)
    assert not any("chance" in sentence for sentence in caption(table))


def test_the_gain_is_the_paired_difference_for_seeds_and_test_rows(tmp_path: Path) -> None:
    bench = made(tmp_path)
    row = row_of(one(bench), "late")
    assert row.default is not None
    expected = difference(row.tuned.scored("test/accuracy"), row.default.scored("test/accuracy"))
    assert row.gain == expected
    assert expected.test_error is not None
    (line,) = (line for line in lines(bench, "tuned.csv") if line["strategy"] == "late")
    assert float(line["gain_mean"]) == pytest.approx(float(line["tuned_mean"]) - float(line["default_mean"]))
    page = tuned_page(one(bench))
    assert cells(page, "late")["tuned less default"] == "+0.061 ± 0.006"
    assert page.splitlines()[2:5] == [
        "Tuning moves test accuracy by -0.014 (`low_rank`) to +0.061 (`late`).",
        "Beyond its interval it is better for 1 of 3 (`late`), worse for 1 of 3 (`low_rank`).",
        "The order of the 3 fusion strategies by default and tuned: Kendall's tau 1.00 [0.63, 1.00] "
        "(1 the same, 0 none in common).",
    ]


def test_both_spreads_of_a_winner_have_a_column(tmp_path: Path) -> None:
    bench = made(tmp_path)
    (line,) = (line for line in lines(bench, "tuned.csv") if line["strategy"] == "late")
    runs = [run for run in bench.runs("late") if run.track.name == "tuned"]
    records = [bench.store.read(run) for run in runs]
    assert float(line["tuned_seed_spread"]) == pytest.approx(stdev(r.scores["test/accuracy"] for r in records if r))
    # .62, .70, .81, .91: each is the best of four draws with (i/4)^4 - ((i-1)/4)^4.
    chance = np.diff((np.arange(5) / 4) ** 4)
    values = np.array([0.62, 0.70, 0.81, 0.91])
    mean = float(values @ chance)
    assert float(line["search_spread"]) == pytest.approx(float(np.sqrt((values - mean) ** 2 @ chance)))
    assert float(line["best_validation"]) == pytest.approx(0.91)
    row = cells(tuned_page(one(bench)), "late")
    assert row["winner's spread over searches"] == "0.063"
    assert row["winner's spread over seeds"] == "0.00049"
    assert row["learning rate"] == "0.00662"


def test_a_spread_too_small_to_be_written_is_only_said_to_be_that(tmp_path: Path) -> None:
    points = [[0.9, 0.9]] * 3 + [[0.9, 0.9 - 1e-7]]
    scores = {**SCORES, "late": points, "low_rank": [[0.9, 0.9]] * 4}
    page = tuned_page(one(made(tmp_path, scores=scores)))
    assert cells(page, "late")["winner's spread over searches"] == "below 0.000005"
    assert cells(page, "low_rank")["winner's spread over searches"] == "0"


def test_every_trial_is_a_line_and_a_point_that_did_not_end_well_is_behind(tmp_path: Path) -> None:
    bench = made(tmp_path)
    found = [line for line in lines(bench, "trials.csv") if line["strategy"] == "concat"]
    assert len(found) == 8
    assert {line["key"] for line in found} == {run.key for tried in row_of(one(bench), "concat").tried
                                              for run, _ in tried.trials}  # fmt: skip
    assert [line["point"] for line in found if line["won"] == "True"] == ["2", "2"]  # Not the one with .99.
    assert [line["status"] for line in found].count("diverged") == 1
    assert [float(line["validation/accuracy"]) for line in found if line["validation/accuracy"]] == [
        score for point in SCORES["concat"] for score in point if isinstance(score, float)
    ]
    (best, *_), last = row_of(one(bench), "concat").search, row_of(one(bench), "concat").search[-1]
    assert best.expected == pytest.approx(fmean([0.90, 0.86, 0.95, 0.86]))
    assert last.unbiased == pytest.approx(0.95)
    page = tuned_page(one(bench))
    assert cells(page, "concat")["trials that ended well"] == "7/8"
    assert "Of 24 trials 23 ended well; 1 diverged." in page


def test_the_searches_are_those_of_the_definition(tmp_path: Path) -> None:
    found = [line for line in lines(made(tmp_path), "search.csv") if line["strategy"] == "low_rank"]
    assert [(line["points"], line["trials"]) for line in found] == [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8")]
    assert [float(line["expected"]) for line in found] == pytest.approx(
        [0.5 + 0.1 * (1 - 0.75**n) for n in range(1, 5)]
    )


def test_what_nothing_is_tuned_of_stands_there_without_a_gain(tmp_path: Path) -> None:
    bench = made(tmp_path)
    row = cells(tuned_page(one(bench)), "chance")
    assert (row["tuned less default"], row["learning rate"], row["trials that ended well"]) == ("-", "-", "-")
    assert "chance" not in {line["strategy"] for line in lines(bench, "trials.csv")}


def test_the_captions_say_what_the_interval_leaves_out(tmp_path: Path) -> None:
    bench = made(tmp_path)
    page = tuned_page(one(bench), "tuned.png")
    assert "Every interval here leaves out the tuning's own chance" in page
    assert "Points of a Sobol sequence lie more evenly" in page
    assert "where n is near the number of points it is too low" in page
    assert "seeds 1000000, 1000001, which no table evaluates; trained anew at seeds 0, 1, 2, 3" in page
    plain, tuned = (" ".join(caption(table)) for table in tables(bench.suite, bench.store))
    assert "Every interval leaves out the tuning's own chance" in tuned
    assert "tuning" not in plain


def test_without_the_default_track_there_is_what_was_tuned_alone(tmp_path: Path) -> None:
    bench = made(tmp_path, SUITE.replace("same_encoders, ", ""))
    page = tuned_page(one(bench))
    assert "tuned less default" not in page
    assert cells(page, "late")["tuned accuracy"].startswith("0.860 ± ")


def test_a_row_with_a_run_that_did_not_end_well_has_no_gain(tmp_path: Path) -> None:
    bench = made(tmp_path)
    run = next(run for run in bench.runs("late") if run.track.name == "tuned")
    bench.store.path(run).unlink()
    bench.ended(run, "diverged", "loss is nan")
    row = cells(tuned_page(one(bench)), "late")
    assert row["tuned less default"] == "-"
    assert row["tuned accuracy"].endswith("(1 diverged)")


def test_before_its_trials_are_over_a_strategy_has_no_search(tmp_path: Path) -> None:
    bench = made(tmp_path)
    tried = row_of(one(bench), "late").tried[1]
    bench.store.path(tried.trials[0][0]).unlink()
    assert row_of(one(bench), "late").search == ()
    page = tuned_page(one(bench))
    assert cells(page, "late")["winner's spread over searches"] == "-"
    assert "1 missing" in page
    assert {path.name for path, _ in tuned_files(bench.suite, bench.store, print)} == set(FILES)


def test_before_anything_is_done_there_is_no_page_and_after_a_trial_it_says_so(tmp_path: Path) -> None:
    bench = made(tmp_path)
    empty = replace(bench, store=type(bench.store)(tmp_path / "nothing", "mine"))
    assert list(tuned_files(empty.suite, empty.store, print)) == []
    final = next(run for run in bench.suite.runs() if run.track.name == "tuned" and has_trials(run))
    tried(empty, final, SCORES["late"])
    found = {path.name: content.decode() for path, content in tuned_files(empty.suite, empty.store, None)}
    assert set(found) == set(FILES[:4])
    assert "No run is done yet." in found["tuned.md"]


def test_a_picture_that_cannot_be_drawn_costs_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fusionbench.report.tuned_picture as picture

    def broken(*_: object) -> None:
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(picture, "tuned_picture", broken)
    bench, said = made(tmp_path), list[str]()
    assert [path.name for path, _ in tuned_files(bench.suite, bench.store, said.append)] == list(FILES[:4])
    assert said == ["Digits: no picture of the searches (RuntimeError: no font)"]


def test_other_data_than_the_defaults_share_no_page(tmp_path: Path) -> None:
    bench = made(tmp_path)
    run = next(run for run in bench.runs("late") if run.track.name == "tuned")
    record = bench.store.read(run)
    assert record is not None
    assert record.data is not None
    bench.store.path(run).unlink()
    bench.store.publish(replace(record, data=replace(record.data, fingerprint="a" * 64)))
    with pytest.raises(UserError, match="cannot mix a data fingerprint"):
        one(bench)


def test_names_of_strategies_are_those_of_the_tables(tmp_path: Path) -> None:
    bench = made(tmp_path)
    assert {row.strategy for row in one(bench).rows} == {slug("strategy", run.strategy) for run in bench.runs()}


def test_of_a_score_of_which_lower_is_better_searches_go_down_and_gains_are_turned(tmp_path: Path) -> None:
    row = row_of(one(made(tmp_path)), "late")
    low = replace(row, metric="test/nll")  # In these records 1 less the accuracy.
    values = [one.score for one in row.tried]
    assert [found.expected for found in low.search] == sorted([found.expected for found in low.search], reverse=True)
    assert low.search[0].expected == pytest.approx(row.search[0].expected)
    assert low.search[-1].unbiased == pytest.approx(min(value for value in values if value is not None))
    assert all(found.low <= found.expected <= found.high for found in low.search)
    assert row.gain is not None
    assert low.gain is not None
    assert low.gain.mean == pytest.approx(row.gain.mean)
    assert low.mean(low.tuned) == replace(row, metric="test/nll").mean(row.tuned)
    better = low.mean(low.tuned)
    worse = low.mean(low.default)
    assert better is not None
    assert worse is not None
    assert 0 < better.mean < worse.mean
