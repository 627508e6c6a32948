"""What a suite came to, seen from Python: tables, sentences, frames and pictures, of the records that are published."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

import fusionbench
from fusionbench.api.limits import TimeLimit, whole_seeds
from fusionbench.api.results import Results
from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Suite
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.report.making import made_report
from fusionbench.report.write import printed

PUBLISHED = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def result() -> Results:
    suite = load_suite("quickstart")
    return Results(suite, Store(PUBLISHED, suite.name))


def test_the_table_is_that_of_the_terminal_as_plain_text(result: Results) -> None:
    text = result.table()
    assert str(result) == text
    assert "\x1b" not in text
    lines = text.splitlines()
    assert sum(line.startswith("Digits · quickstart") for line in lines) == 1
    assert all(sum(line.strip().startswith(f"{name} ") for line in lines) == 2 for name in ("concat", "late", "chance"))


def test_the_best_is_what_validation_picks_with_its_gain_over_one_modality(result: Results) -> None:
    first, second = result.best().splitlines()
    chosen = next(iter(result.tables())).admission
    assert chosen is not None
    fusion = next(one for one in chosen.chosen if one.role == "fusion")
    assert first.startswith(f"Digits: {fusion.strategy} is the best fusion by validation, test accuracy 0.97")
    assert "(6 seeds); it is 0.0" in first
    assert " above unimodal+modality=" in first
    assert second.startswith("Synthetic PID (synergy): ")


def test_the_frame_has_what_the_csv_has_and_every_digit(result: Results) -> None:
    frame = result.frame()
    assert len(frame) == 22
    lines = printed(made_report(result.suite, result.store, draw=False), "csv").splitlines()
    place = lines[0].split(",").index("test/accuracy_mean")
    assert [f"{value:.10g}" for value in frame["test/accuracy_mean"]][:10] == [
        line.split(",")[place] for line in lines[1:11]
    ]


def test_a_notebook_shows_every_row_and_escapes_what_it_shows(result: Results) -> None:
    html = result._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 2
    assert html.count("<code>concat</code>") == 2
    left = Results(result.suite, result.store, left_out="x < y")
    assert left._repr_html_().endswith("<p>x &lt; y</p>")
    assert left.table().endswith("x < y")


def test_one_table_of_several_is_drawn_and_has_to_be_named(result: Results, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(UserError, match="there are several tables; name one by dataset='digits' or 'synthetic_pid"):
        result.plot()
    with pytest.raises(UserError, match="no dataset 'digit'; did you mean 'digits'"):
        result.plot("digit")
    figure = result.plot("digits")
    assert figure._repr_png_()[:4] == b"\x89PNG"  # type: ignore[attr-defined]
    figure.savefig(tmp_path / "mine.svg")
    assert dict(mpl.rcParams) == before


def test_latex_is_what_the_report_writes(result: Results) -> None:
    report = made_report(result.suite, result.store, draw=False)
    assert result.to_latex() == printed(report, "latex")
    assert result.to_latex(["nll"], wide=True) == printed(report, "latex", ["nll"], wide=True)


def test_every_record_is_a_row_with_its_scores_sizes_times_and_options() -> None:
    frame = fusionbench.load_results(PUBLISHED / "quickstart")
    assert len(frame) == 132
    assert set(frame["suite"]) == {"quickstart"}
    assert set(frame["seed"]) == set(range(6))
    row = frame[(frame.dataset == "digits") & (frame.strategy == "concat") & (frame.seed == 3)].iloc[0]
    record = json.loads(Path(row.path).read_text())
    assert {name: row[name] for name in record["scores"]} == record["scores"]
    assert row["validation/accuracy"] == record["validation"]["validation/accuracy"]
    assert row["best_epoch"] == record["validation"]["epoch"]
    assert (row.learning_rate, row.batch_size, row.epochs_run) == (1e-3, 128, 20)
    assert row.train_seconds == record["train_seconds"]
    size = json.loads(Path(row.path).with_suffix(".size.json").read_text())
    assert row.fusion_parameters == size["fusion_parameters"]
    assert row.end_to_end_ms_batch1 > row.fusion_ms_batch1 > 0
    assert json.loads(row.dataset_options) == {"view": "halves"}
    assert (row.score, row.metric, row.status, row.role) == (
        record["scores"]["test/accuracy"],
        "accuracy",
        "done",
        "final",
    )


def test_trials_and_chosen_learning_rates_are_told_apart() -> None:
    frame = fusionbench.load_results(PUBLISHED / "youtube8m")
    trials, finals = frame[frame.role == "trial"], frame[frame.role == "final"]
    assert len(trials) > len(finals) > 0
    assert trials["test/gap20"].isna().all()
    done = finals[finals.status == "done"]
    assert done["test/gap20"].notna().all()
    chosen = done[done.strategy == "concat"].iloc[0]
    assert chosen.learning_rate == json.loads(Path(chosen.path).read_text())["options"]["learning_rate"]


def test_what_is_no_record_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "suite" / "digits" / "concat"
    folder.mkdir(parents=True)
    broken = folder / "0123456789ab.json"
    broken.write_text("{}")
    with pytest.warns(UserWarning, match=r"left out, no record of this version: .*0123456789ab\.json"):
        frame = fusionbench.load_results(tmp_path)
    assert frame.empty
    assert isinstance(frame, pd.DataFrame)
    assert list(folder.iterdir()) == [broken]
    with pytest.raises(UserError, match="no such folder"):
        fusionbench.load_results(tmp_path / "nowhere")


def small_suite() -> Suite:
    return suite_of(parse_source("{name: s, datasets: [digits], strategies: [concat, late], seeds: 3}", "s"))


def test_a_time_limit_leaves_whole_seeds_and_says_which_are_left_out(tmp_path: Path) -> None:
    suite = small_suite()
    runs, store = list(suite.runs()), Store(tmp_path, "s")
    for run in runs[:5]:
        store.publish(Record(run.key, run.to_json(), "failed", "no idea"))
    kept, told = whole_seeds(suite, runs, store, TimeLimit(60))
    assert kept.seeds == (0, 1)
    assert told == "The time limit of 60 s left out seed 2: 5 of 6 runs are done; the same call goes on."
    assert whole_seeds(suite, runs, store, None) == (suite, "")
    store.publish(Record(runs[5].key, runs[5].to_json(), "failed", "no idea"))
    assert whole_seeds(suite, runs, store, TimeLimit(60)) == (suite, "")


def test_where_no_seed_is_whole_that_is_said(tmp_path: Path) -> None:
    suite = small_suite()
    kept, told = whole_seeds(suite, list(suite.runs()), Store(tmp_path, "s"), TimeLimit(1.5))
    assert kept == suite
    assert told.startswith("The time limit of 1.5 s left out runs of every seed, so strategies are not compared on the")
