"""What has no records yet has no page: a line says how to run it, and the files of an earlier report go."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_orders import bench_of
from made_up_searches import tried
from made_up_suite import Bench

from fusionbench.api.results import Results
from fusionbench.cli.main import main
from fusionbench.cli.publishing import finished_tables
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import SAME_ENCODERS
from fusionbench.report.making import made_report
from fusionbench.report.write import write_report

MATCHED = "matched_parameters+target=90000"
TRACKS = "tracks: [same_encoders, {name: matched_parameters, options: {target: 90000}, seeds: 2}, tuned]\n"
SUITE = "name: mine\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 3\n"


def made(folder: Path, text: str = SUITE + TRACKS, track: str = SAME_ENCODERS, dataset: str = "digits") -> Bench:
    """A bench of which one track on one data set is done."""
    (folder / "mine.yaml").write_text(text)
    bench = bench_of(folder, text)
    for run in bench.suite.runs():
        if (track_label(run.track), run.dataset.name) == (track, dataset):
            bench.done(run, 0.9 - 0.01 * run.seed)
    return bench


def reported(folder: Path, *words: str) -> int:
    return main(["report", str(folder / "mine.yaml"), "--results", str(folder / "results"), "--no-pictures", *words])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "results" / "mine").rglob("*.*") if path.suffix != ".json")


def test_a_track_without_records_has_no_file_and_a_line_says_how_to_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = made(tmp_path)
    old = bench.store.folder(bench.suite.datasets[0]) / f"table-{MATCHED}.md"
    old.write_text("of an earlier report")
    assert reported(tmp_path) == 0
    shown = capsys.readouterr()
    assert "table-same_encoders.md" in files(tmp_path)
    assert not [name for name in files(tmp_path) if "matched" in name or "tuned" in name], files(tmp_path)
    assert "missing" not in shown.out
    assert shown.err.splitlines() == [
        f"{track}: no records of evaluated runs yet, so no table; "
        f"`fusionbench run mine --only track={track}` makes them"
        for track in (MATCHED, "tuned")
    ]
    checklist = (tmp_path / "results" / "mine" / "checklist.tex").read_text()
    assert "(tracks: same encoders)" in checklist


def test_what_is_printed_for_a_paper_or_a_machine_has_it_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path)
    for form, once in (("md", "# "), ("latex", r"\label{"), ("csv", "dataset,")):
        assert reported(tmp_path, "--format", form) == 0
        out = capsys.readouterr().out
        assert out.count(once) == 1, form
        assert "matched" not in out


def test_one_run_that_failed_is_a_record_and_makes_a_page(tmp_path: Path) -> None:
    bench = made(tmp_path)
    run = next(run for run in bench.suite.runs() if track_label(run.track) == MATCHED)
    bench.ended(run, "failed", "out of memory")
    write_report(bench.suite, bench.store, draw=False)
    assert f"table-{MATCHED}.md" in files(tmp_path)


def test_of_several_data_sets_the_one_without_records_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = made(
        tmp_path, SUITE.replace("[digits]", "[digits, wdbc, {name: synthetic_pid, options: {relation: synergy}}]")
    )
    assert reported(tmp_path) == 0
    said = capsys.readouterr().err
    assert said == (
        "same_encoders on WDBC, Synthetic PID (synergy): no records of evaluated runs yet, so no table; "
        "`fusionbench run mine --only dataset=wdbc,synthetic_pid+relation=synergy` makes them\n"
    )
    assert main(["plan", str(tmp_path / "mine.yaml"), "--only", "dataset=wdbc,synthetic_pid+relation=synergy"]) == 0
    assert "overview.md" not in files(tmp_path)
    for run in bench.suite.runs():
        if run.dataset.name == "wdbc":
            bench.done(run, 0.8)
    assert reported(tmp_path) == 0
    assert "overview.md" in files(tmp_path)


def test_a_page_of_tuning_comes_with_the_first_trial(tmp_path: Path) -> None:
    bench = made(tmp_path, SUITE + TRACKS.replace(" tuned]", " {name: tuned, options: {trials: 4}}]"))
    write_report(bench.suite, bench.store, draw=False)
    assert "tuned.md" not in files(tmp_path)
    tried(bench, next(run for run in bench.suite.runs() if run.track.name == "tuned"), [[0.8, 0.9]] * 4)
    write_report(bench.suite, bench.store, draw=False)
    assert "tuned.md" in files(tmp_path)
    assert "table-tuned.md" not in files(tmp_path)


def test_dashboards_and_programs_see_what_is_begun(tmp_path: Path) -> None:
    bench = made(tmp_path)
    assert [track_label(table.track) for table in finished_tables(bench.suite, bench.store)] == [SAME_ENCODERS]
    found = Results(bench.suite, bench.store)
    assert [track_label(table.track) for table in found.tables()] == [SAME_ENCODERS]
    assert "missing" not in found.table()
    assert set(found.frame()["track"]) == {SAME_ENCODERS}


def test_where_nothing_is_begun_a_program_sees_what_is_planned(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, SUITE + TRACKS)
    assert len(Results(bench.suite, bench.store).tables()) == 3
    told: list[str] = []
    assert made_report(bench.suite, bench.store, told.append, draw=False).files[0][0].name == "checklist.tex"
    assert told == []
