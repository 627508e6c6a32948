"""The files of a report: what is in them, and that the same records give the same bytes."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_suite import Bench, make
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from fusionbench.core.catalogue import names
from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice
from fusionbench.records.record import DataFacts
from fusionbench.records.store import Store
from fusionbench.report.captions import caption, short_caption
from fusionbench.report.curves import curves_picture
from fusionbench.report.front import front_picture
from fusionbench.report.layout import columns, markdown
from fusionbench.report.making import made_report
from fusionbench.report.marks import MANY, is_named, marks_of
from fusionbench.report.numbers import score
from fusionbench.report.tables import Table, tables
from fusionbench.report.write import terminal_text, write_report

MEANS = {
    "chance": 0.1,
    "unimodal+modality=left": 0.87,
    "unimodal+modality=right": 0.86,
    "late": 0.945,
    "concat": 0.9655,
    "gated": 0.9667,
}
MEDIANS = dict(zip(MEANS, (0.02, 0.31, 0.312, 0.635, 0.64, 0.69), strict=True))
STRATEGIES = ("chance", "unimodal", "late", "concat", "gated")


def filled(folder: Path, seeds: int = 3, latency: bool = True) -> Bench:
    bench = make(folder, *STRATEGIES, seeds=seeds)
    bench.fill(MEANS, sd=0.004)
    if latency:
        bench.timed(MEDIANS)
    return bench


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def named(paths: list[Path], name: str) -> Path:
    (path,) = [path for path in paths if path.name == name]
    return path


def cells(text: str, strategy: str) -> dict[str, str]:
    """The row of a strategy in a Markdown table, by heading."""
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return next(dict(zip(table[0], row, strict=False)) for row in table if row[0] == f"`{strategy}`")


def test_it_writes_table_seeds_and_picture_of_every_dataset(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    paths = write_report(bench.suite, bench.store)
    folder = tmp_path / "results" / "mine" / "digits"
    assert [Path(os.path.relpath(path, folder)) for path in paths] == [
        Path(name)
        for name in (
            "table.md", "table.csv", "seeds.csv", "table.tex", "table_wide.tex", "methods.tex", "numbers.tex",
            "front.png", "front.pdf", "differences.png", "differences.pdf", "curves.png", "curves.pdf", "costs.png",
            "costs.pdf", "order.md", "order.csv", "../checklist.tex",
        )
    ]  # fmt: skip
    assert all(path.stat().st_size for path in paths)
    assert not list(folder.glob(".*.tmp"))


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = filled(tmp_path / "a"), filled(tmp_path / "b")
    found = [[path.read_bytes() for path in write_report(bench.suite, bench.store)] for bench in (first, second)]
    again = [path.read_bytes() for path in write_report(first.suite, first.store)]
    assert found[0] == found[1] == again


def test_the_picture_does_not_depend_on_the_users_matplotlib_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    bench = filled(tmp_path)
    before = named(write_report(bench.suite, bench.store), "front.png").read_bytes()
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    assert named(write_report(bench.suite, bench.store), "front.png").read_bytes() == before


@pytest.mark.parametrize("name", ["front", "curves"])
def test_a_picture_is_as_wide_as_a_column_at_300_dots_an_inch(tmp_path: Path, name: str) -> None:
    bench = filled(tmp_path)
    paths = write_report(bench.suite, bench.store)
    with Image.open(named(paths, f"{name}.png")) as image:
        assert image.width == 3.4 * 300
        assert len(image.getcolors(1 << 20) or []) > 20
    pdf = named(paths, f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf


def test_without_latency_the_picture_shows_parameters_and_says_so(tmp_path: Path) -> None:
    bench = filled(tmp_path, latency=False)
    paths = write_report(bench.suite, bench.store)
    text = paths[0].read_text(encoding="utf-8")
    assert "Latency was not measured; `fusionbench latency mine` does." in text
    assert "![accuracy against fusion parameters](front.png)" in text


def test_of_many_strategies_only_the_front_and_single_modalities_are_named(tmp_path: Path) -> None:
    bench = make(tmp_path, *(name for name in names("strategy") if name != "chance"), seeds=2)
    means = {slug("strategy", run.strategy): 0.5 for run in bench.runs()}
    bench.fill(means | {"concat": 0.9})
    table = one(bench)
    marks = marks_of(table)
    assert len(marks) > MANY
    named = {mark.row.strategy for mark in marks if is_named(mark, len(marks))}
    assert {"concat", "unimodal+modality=left"} <= named
    assert named == {row.strategy for row in table.rows if row.front or row.uses == "one"}
    assert front_picture(table)["png"]


def test_a_track_of_matched_parameters_has_no_trade_off_with_them(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late")
    bench.fill({"concat": 0.9, "late": 0.8})
    table = one(bench)
    assert table.cost == "parameters"
    matched = replace(table, track=Choice("matched_parameters"))
    assert matched.cost is None
    assert marks_of(matched) == []
    assert front_picture(matched) == {}


@pytest.mark.parametrize(
    "name", ["digits", "synthetic_pid+noise=2.0+relation=synergy+width=64" * 2, "mine." + "weighted_" * 25]
)
def test_a_long_title_is_broken_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    bench = make(tmp_path, "concat", "late")
    bench.fill({"concat": 0.9, "late": 0.8})
    widths: list[float] = []
    save = Figure.savefig

    def measured(figure: Figure, *arguments: Any, **named: Any) -> None:
        figure.draw_without_rendering()
        assert figure._suptitle is not None  # type: ignore[attr-defined]
        box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
        widths.extend((box.x0, figure.bbox.width - box.x1))
        save(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", measured)
    table = replace(one(bench), title=name, suite="all_strategies_matched")
    assert front_picture(table)
    assert curves_picture(table)
    assert len(widths) == 8
    assert min(widths) > 0


def test_without_latency_sizes_and_curves_there_is_no_picture(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    for run in bench.runs():
        bench.done(run, 0.9, curves={})
    paths = write_report(bench.suite, bench.store)
    assert not [path.name for path in paths if path.suffix in (".png", ".pdf")]
    assert ".png" not in paths[0].read_text(encoding="utf-8")


def test_a_suite_without_any_record_is_told_how_to_get_some(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    with pytest.raises(UserError, match="no records of suite 'mine' yet; `fusionbench run mine`"):
        write_report(bench.suite, bench.store)
    assert not (tmp_path / "results").exists()


def test_a_table_where_everything_failed_keeps_the_reasons(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", seeds=2)
    for run in bench.runs():
        bench.ended(run, "failed", "RuntimeError: out of memory\n| at step <3>")
    paths = write_report(bench.suite, bench.store)
    text = paths[0].read_text(encoding="utf-8")
    assert "No run is done yet." in text
    assert "Of 4 planned runs 0 are done; 4 failed." in text
    assert cells(text.replace("\\|", "!"), "concat")["notes"] == "failed: RuntimeError: out of memory ! at step \\<3\\>"
    assert [line["status"] for line in lines(paths[2])] == ["failed"] * 4
    assert not [path for path in paths if path.suffix in (".png", ".pdf")]


def test_the_markdown_shows_every_column(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    shown = cells(markdown(one(bench)), "concat")
    run = bench.runs("concat")[0]
    size = bench.store.read_measure(run, "size")
    assert size is not None
    assert list(shown) == [
        "strategy", "name", "accuracy", "over late", "macro-F1", "NLL", "fusion parameters", "encoder parameters",
        "FLOPs a sample", "fusion ms, batch 1", "end-to-end ms, batch 1", "end-to-end ms, batch 64", "front",
        "fidelity", "interaction", "seeds",
    ]  # fmt: skip
    assert shown["encoder parameters"] == "9.00 k"
    assert shown["fusion parameters"] == f"{size['fusion_parameters'] / 1000:.1f} k"
    assert (shown["fidelity"], shown["interaction"], shown["seeds"]) == ("faithful", "full", "3/3")
    assert float(shown["end-to-end ms, batch 64"]) == pytest.approx(
        2 * float(shown["end-to-end ms, batch 1"]), rel=0.05
    )


def test_the_csv_keeps_every_digit_and_every_seed(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    paths = write_report(bench.suite, bench.store)
    seeds = [line for line in lines(paths[2]) if line["strategy"] == "gated"]
    records = {run.seed: bench.store.read(run) for run in bench.runs("gated")}
    assert {int(line["seed"]) for line in seeds} == {0, 1, 2}
    for line in seeds:
        record = records[int(line["seed"])]
        assert record is not None
        assert {name: float(line[name]) for name in record.scores} == record.scores
        assert line["key"] == record.key
    (gated,) = [line for line in lines(paths[1]) if line["strategy"] == "gated"]
    table = one(bench)
    summary = next(row for row in table.rows if row.strategy == "gated").scores["test/accuracy"]
    assert float(gated["test/accuracy_mean"]) == pytest.approx(summary.mean, rel=1e-9)
    assert float(gated["test/accuracy_half_width"]) == pytest.approx(summary.half_width, rel=1e-9)


def test_no_number_in_any_file_is_nan(tmp_path: Path) -> None:
    bench = filled(tmp_path, seeds=1)
    bench.suite = replace(bench.suite, seeds=(0, 1))
    bench.ended(next(run for run in bench.runs("late") if run.seed == 1), "diverged", "loss left the finite numbers")
    for path in (path for path in write_report(bench.suite, bench.store) if path.suffix in (".md", ".csv", ".tex")):
        words = path.read_text(encoding="utf-8").lower().replace("|", ",").split(",")
        assert not {"nan", "inf", "none"} & {word.strip() for word in words if word.strip()} - {"none"}
        if path.suffix == ".csv":
            assert "None" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (1, "Scores, without an interval, of 1 seed (exploratory: fewer than 6)."),
        (3, "Mean ± half-width of the 95 % t interval over 3 seeds (exploratory: fewer than 6)."),
        (6, "Mean ± half-width of the 95 % t interval over 6 seeds."),
        (10, "Mean ± half-width of the 95 % t interval over 10 seeds (confirmatory)."),
    ],
)
def test_the_caption_says_what_so_many_seeds_may_claim(tmp_path: Path, seeds: int, words: str) -> None:
    assert words in caption(one(filled(tmp_path, seeds=seeds)))


def test_the_caption_says_whether_a_seed_moves_the_validation_rows(tmp_path: Path) -> None:
    assert any("draws the validation split" in words for words in caption(one(filled(tmp_path / "moved"))))
    fixed = make(tmp_path / "fixed", "concat")
    for run in fixed.runs():
        facts = DataFacts("digits", "f1" * 32, "5" * 64, {"train": 1293, "validation": 144, "test": 360})
        fixed.done(run, 0.9, data=facts)
    assert any("all three parts are fixed" in words for words in caption(one(fixed)))


def test_the_caption_names_encoders_that_were_trained_beforehand(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    assert not any("beforehand" in words for words in caption(one(bench)))
    dataset = "{name: imdb_cifar10, options: {relation: synergy}}"
    encoders = "encoders: {image: {name: small_cnn, pretrain: {epochs: 8}}}"
    text = f"name: mine\ndatasets: [{dataset}]\nstrategies: [concat]\nseeds: 1\n{encoders}\n"
    first = Bench(suite_of(parse_source(text, "mine.yaml")), bench.store)
    said = "Encoders trained beforehand on their modality's own labels and frozen: image (8 epochs)."
    assert said in caption(one(first))


HALVES = """name: mine
datasets: [digits]
strategies: [chance, concat, late]
seeds: 2
encoders: {image: {name: small_cnn, pretrain: {epochs: 8}}, left: {name: small_cnn, pretrain: {epochs: 1, rows: all}}}
"""


def told(rows: str, count: int, train: float, validation: float) -> dict[str, Any]:
    scores = {"train/accuracy": train, "validation/accuracy": validation, "epoch": 3.0}
    return {"rows": rows, "count": count, "metric": "accuracy", "scores": scores}


def test_the_caption_says_how_well_encoders_do_on_their_own_rows_and_who_has_the_others(tmp_path: Path) -> None:
    bench = Bench(suite_of(parse_source(HALVES, "mine.yaml")), Store(tmp_path, "mine"))
    before = " ".join(caption(one(bench)))
    assert "on the task's labels, on one half of the training rows, and frozen: right (8 epochs)." in before
    assert "on the task's labels, on all training rows, and frozen: left (1 epoch)." in before
    for run in bench.suite.runs():
        right, left = (told("half", 646, 0.97, 0.91), told("all", 1293, 1.0, 0.902))
        if run.seed:
            right = told("half", 647, 0.99, 0.93)
        facts = DataFacts("digits", "f1" * 32, "5" * 64, {"train": 647, "validation": 144, "test": 360})
        options = {} if run.strategy.name == "chance" else {"pretrained": {"left": left, "right": right}}
        bench.done(run, 0.9, data=facts, options=options)
    text = " ".join(caption(one(bench)))
    # (.97 + .99) / 2 and (.91 + .93) / 2: two strategies of a seed are one encoder.
    stated = "accuracy 0.980 on the 646 to 647 rows it was trained on, 0.920 on validation, mean over 2 seeds"
    assert f"right (8 epochs; {stated})" in text
    assert "left (1 epoch; accuracy 1.000 on the 1,293 rows it was trained on, 0.902 on validation, mean over" in text
    assert "Every row of the table is trained on the other half of the training rows; a seed draws the halves." in text
    assert "Data Digits: 647 train, 144 validation, 360 test;" in text


def test_the_caption_names_data_track_device_and_threads(tmp_path: Path) -> None:
    text = " ".join(caption(one(filled(tmp_path))))
    for words in (
        "with 80 % power: 0.0",
        "on Acme 9000, 1 thread, one session of 2026-01-02.",
        "Track same_encoders, trained with 1 thread a run, results version 2.",
        "Data Digits: 1,293 train, 144 validation, 360 test; fingerprint f1f1f1f1f1f1.",
        "Multi-view data: one picture cut in two, not two sensors.",
        "whole batch (not per sample)",
    ):
        assert words in text
    assert "indicative" not in text


def test_the_caption_counts_what_went_wrong_and_notes_say_where(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "gated", "late")
    for run in bench.runs("concat"):
        bench.done(run, 0.9)
    first, second, _ = bench.runs("gated")
    bench.done(first, 0.9)
    bench.ended(second, "diverged", "loss is nan")
    for run in bench.runs("late"):
        bench.ended(run, "skipped", "needs two modalities")
    text = markdown(one(bench))
    assert "Of 9 planned runs 4 are done; 1 diverged, 3 skipped, 1 missing." in text
    assert cells(text, "gated")["notes"] == "1 diverged (seed 1: loss is nan); 1 missing (seed 2)"
    assert cells(text, "late")["notes"] == "skipped: needs two modalities"
    assert cells(text, "late")["accuracy"] == "-"


FROZEN = "encoders: {image: {name: small_cnn, pretrain: {epochs: 1}}}"
GONE = "it changes the gradients that reach the encoders, and here encoders are frozen: they stay as they are"


def test_what_trains_encoders_is_counted_apart_where_they_are_frozen(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "agm", "pmr", "late", more=FROZEN)
    for run in bench.runs("concat") + bench.runs("late"):
        bench.done(run, 0.9)
    for run in bench.runs("agm") + bench.runs("pmr"):
        bench.ended(run, "skipped", GONE)
    text = markdown(one(bench))
    assert "2 of 4 strategies act on the training of encoders, which are frozen here: not run (agm, pmr)." in text
    assert "planned runs" not in text
    assert "did not end well" not in text
    assert cells(text, "agm")["notes"] == f"skipped: {GONE}"
    assert "2 of 4 strategies act on" in " ".join(short_caption(one(bench)))


def test_what_is_solved_for_is_counted_apart_where_encoders_are_trained(tmp_path: Path) -> None:
    for encoders, expected in (("", True), (FROZEN, False)):
        bench = make(tmp_path / str(expected), "concat", "logistic_regression", "stacking", more=encoders)
        for run in bench.runs("concat"):
            bench.done(run, 0.9)
        for run in bench.runs("logistic_regression") + bench.runs("stacking"):
            bench.ended(run, "skipped", "here the encoders of left, right learn")
        words = "2 of 3 strategies are solved for on encodings that stay, and encoders are trained here: not run"
        text = markdown(one(bench))
        assert (f"{words} (logistic_regression, stacking)." in text) == expected
        assert ("Of 9 planned runs 3 are done; 6 skipped." in text) != expected


def test_what_else_is_missing_is_counted_without_them(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "agm", "late", "early", more=FROZEN)
    for run in bench.runs("concat"):
        bench.done(run, 0.9)
    for run in bench.runs("agm"):
        bench.ended(run, "skipped", GONE)
    for run in bench.runs("early"):
        bench.ended(run, "skipped", "its one encoder reads all modalities at once")
    text = markdown(one(bench))
    assert "1 of 4 strategies acts on the training of encoders, which are frozen here" in text
    assert "Of 9 planned runs of the others 3 are done; 3 skipped, 3 missing." in text


def test_where_encoders_are_trained_nothing_is_counted_apart(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "agm")
    for run in bench.runs("concat"):
        bench.done(run, 0.9)
    for run in bench.runs("agm"):
        bench.ended(run, "skipped", "training ends after the first step")
    text = markdown(one(bench))
    assert "which are frozen here" not in text
    assert "Of 6 planned runs 3 are done; 3 skipped." in text


def test_a_session_that_lacks_strategies_is_counted(tmp_path: Path) -> None:
    bench = filled(tmp_path, latency=False)
    bench.timed({"concat": 0.6, "gated": 0.7}, calls=50)
    text = " ".join(caption(one(bench)))
    assert "with 2 of 6 strategies." in text
    assert "Latency is indicative" in text


def test_multilabel_tables_show_gap_and_hit_at_one(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat")
    for run in bench.runs():
        scores = {"test/gap20": 0.58, "test/hit1": 0.7, "test/nll": 20.0, "test/perr": 0.6}
        bench.done(run, 0.0, task={"metric": "gap20", "kind": "multilabel"}, scores=scores)
    table = one(bench)
    assert [column.heading for column in columns(table)][:5] == ["strategy", "name", "GAP@20", "Hit@1", "NLL"]
    assert cells(markdown(table), "concat")["GAP@20"] == "**0.5800**"


def test_a_pipe_gets_markdown_and_a_terminal_a_narrow_table(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.ended(replace(bench.runs("late")[0], seed=7), "failed", "[bold]reason[/nope]")
    bench.suite = replace(bench.suite, seeds=(0, 1, 2, 7))
    report = made_report(bench.suite, bench.store, draw=False)
    assert terminal_text(report, Console(file=io.StringIO())).startswith("## Digits, suite mine, track same encoders")
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    text = terminal_text(report, console)
    assert "unimodal+modality=right" in text
    assert "[bold]reason[/nope]" in "".join(line[-40:].strip() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 100
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_names_and_scores_are_whole_on_80_columns(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    text = terminal_text(made_report(bench.suite, bench.store, draw=False), console)
    for row in one(bench).rows:
        (line,) = [line for line in text.splitlines() if line.startswith(f" {row.strategy} ")]
        assert score(row.scores["test/accuracy"]) in line


def test_two_tracks_get_a_set_of_files_each(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late")
    other = Choice("other_track")
    rows = tuple(replace(row, track=other) for row in bench.suite.rows)
    bench.suite = replace(bench.suite, rows=bench.suite.rows + rows, tracks=(*bench.suite.tracks, other))
    bench.fill({"concat": 0.9, "late": 0.8})
    names = [path.name for path in write_report(bench.suite, bench.store)]
    assert names[:2] == ["table-same_encoders.md", "table-same_encoders.csv"]
    assert {"front-other_track.png", "methods-other_track.tex", "numbers-same_encoders.tex"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_track_of_fewer_seeds_misses_none_in_its_tables(tmp_path: Path) -> None:
    track = "{name: matched_parameters, options: {learning_rates: [1e-3]}, seeds: 2}"
    text = f"name: mine\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 6\ntracks: [same_encoders, {track}]\n"
    bench = Bench(suite_of(parse_source(text, "mine.yaml")), Store(tmp_path / "results", "mine"))
    bench.fill({"concat": 0.9, "late": 0.8})
    same, matched = tables(bench.suite, bench.store)
    assert [(table.seeds, {len(row.outcomes) for row in table.rows}) for table in (same, matched)] == [
        ((0, 1, 2, 3, 4, 5), {6}),
        ((0, 1), {2}),
    ]
    assert {outcome.state for row in matched.rows for outcome in row.outcomes} == {"done"}
    assert "| 2/2 |" in markdown(matched)
    assert "over 6 seeds." in " ".join(caption(same))
    assert "over 2 seeds (exploratory: fewer than 6)." in " ".join(caption(matched))
    assert not any("planned runs" in sentence for sentence in caption(matched))
    write_report(bench.suite, bench.store)
    folder = tmp_path / "results" / "mine" / "digits"
    assert len(lines(folder / "seeds-same_encoders.csv")) == 12
    assert len(lines(folder / "seeds-matched_parameters.csv")) == 4


@pytest.mark.parametrize(
    "case",
    [
        {"means": dict.fromkeys(MEANS, 1.0), "sd": 0.0},
        {"means": dict.fromkeys(MEANS, 0.0), "sd": 0.0},
        {"medians": dict.fromkeys(MEANS, 0.5)},
        {"medians": {name: 10.0 ** (i * 2 - 4) for i, name in enumerate(MEANS)}},
        {"medians": {"concat": 1e-5}},
    ],
    ids=["all perfect", "all zero", "all as fast", "twelve decades", "one point"],
)
def test_odd_ranges_still_give_a_picture(tmp_path: Path, case: dict[str, Any]) -> None:
    bench = make(tmp_path, *STRATEGIES)
    bench.fill(case.get("means", MEANS), case.get("sd", 0.004))
    bench.timed(case.get("medians", MEDIANS))
    names = {path.name for path in write_report(bench.suite, bench.store)}
    assert {"front.png", "front.pdf", "curves.png"} <= names


def test_the_report_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, fusionbench.report.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode == 0


def test_files_that_the_present_table_no_longer_makes_are_removed_and_no_others(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    folder = tmp_path / "results" / "mine" / "digits"
    gone = ["accuracy_None.png", "accuracy_latency.pdf", "table-matched_parameters+target=9.md", "front-tuned.png"]
    kept = ["table-of-my-own.md", "notes.md", "order.txt", "curves-old.png"]
    for name in (*gone, *kept):
        (folder / name).write_text("mine")
    write_report(bench.suite, bench.store)
    assert [name for name in (*gone, *kept) if (folder / name).exists()] == kept
    assert len(list(folder.rglob("*.json"))) > 20


def test_without_pictures_those_of_before_stay_and_the_page_shows_none(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    before = named(write_report(bench.suite, bench.store), "front.png")
    paths = write_report(bench.suite, bench.store, draw=False)
    assert before.exists()
    assert not [path for path in paths if path.suffix in (".png", ".pdf")]
    assert ".png" not in paths[0].read_text(encoding="utf-8")
