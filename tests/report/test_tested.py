"""What a page says of its tests: the headline, differences to references, marks, captions, and what is not tested."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_orders import MANY, bench_of, fill
from made_up_suite import Bench

from fusionbench.core.errors import UserError
from fusionbench.report.captions import caption
from fusionbench.report.collect import refuse_mixtures
from fusionbench.report.csvs import table_csv
from fusionbench.report.layout import markdown
from fusionbench.report.numbers import significant
from fusionbench.report.opening import opening
from fusionbench.report.overview import overview, wins_csv
from fusionbench.report.pairs import pairs_csv
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table, tables
from fusionbench.report.ties import ties
from fusionbench.stats.estimate import Scored, difference

HEAVY = ("torch", "lightning", "timm", "torchmetrics", "statsmodels", "sklearn")
LEFT, RIGHT = "unimodal+modality=left", "unimodal+modality=right"
FUSIONS = ("late", "concat", "sum", "gated", "agm")
SUITE = f"name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, {', '.join(FUSIONS)}]\nseeds: 6\n"
FAMILY = "families:\n  - {name: all, rows: [late, concat, sum, gated, agm]}\n"
MEANS = {"chance": 0.1, LEFT: 0.8, RIGHT: 0.81, "late": 0.85, "concat": 0.9, "sum": 0.89, "gated": 0.7, "agm": 0.9}


def made(folder: Path, text: str = SUITE + FAMILY, **means: float) -> Bench:
    bench = bench_of(folder, text)
    fill(bench, MEANS | means, validation=MEANS | {LEFT: 0.82, "sum": 0.95})
    return bench


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def row(table: Table, strategy: str) -> TableRow:
    return next(row for row in table.rows if row.strategy == strategy)


def diverged(bench: Bench, strategy: str) -> None:
    run = bench.runs(strategy)[0]
    bench.store.path(run).unlink()
    bench.ended(run, "diverged", "loss is nan")


def test_the_page_begins_with_what_validation_picks_and_its_regret(tmp_path: Path) -> None:
    table = one(made(tmp_path))
    found = table.tests.headline
    assert found is not None
    assert (found.strategy, found.among) == ("sum", 7)
    best = max(row.scores["test/accuracy"].mean for row in table.rows)
    assert found.regret == pytest.approx(best - row(table, "sum").scores["test/accuracy"].mean)
    assert opening(table)[0].startswith("Headline: of 7 rows validation picks `sum`, test accuracy 0.8")
    assert "regret 0.01" in opening(table)[0]


def test_references_are_chosen_on_validation_and_differences_are_paired(tmp_path: Path) -> None:
    bench = made(tmp_path)
    table = one(bench)
    assert [found.reference for found in table.tests.references] == [LEFT, "late"]
    runs = {name: bench.runs(name) for name in ("concat", "late")}
    scores: dict[str, dict[int, Scored]] = {name: {} for name in runs}
    for name, planned in runs.items():
        for run in planned:
            record, rows = bench.store.read(run), bench.store.read_resamples(run)
            assert record
            assert rows
            drawn = rows.scores["test/accuracy"]
            scores[name][run.seed] = Scored(record.scores["test/accuracy"], drawn, rows.draw, rows.units)
    compared = table.tests.references[1].of("concat")
    expected = difference(scores["concat"], scores["late"])
    assert compared is not None
    assert compared.estimate.mean == pytest.approx(expected.mean)
    assert compared.estimate.half_width == pytest.approx(expected.half_width)
    assert "| strategy | name | accuracy | over best single | over late |" in markdown(table)
    assert f"over best single (`{LEFT}`, best single modality on validation)" in markdown(table)
    assert "by Holm's correction over 7 rows" in markdown(table)
    cells = markdown(table).split("| `concat` | Concat | ")[1].split(" | ")
    assert cells[1].endswith(" *")
    assert cells[2].endswith(" *")


def test_the_sentence_of_a_tie_names_no_single_best_where_others_show_the_same_score(tmp_path: Path) -> None:
    assert "of the 4 strategies of family all, `concat` has the highest test accuracy, 0.9" in ties(
        one(made(tmp_path / "one", concat=0.99))
    )
    table = one(made(tmp_path / "two", concat=0.95, sum=0.95))
    (family,) = table.tests.families
    assert set(family.tied) == {"concat", "sum"}
    same = row(table, "concat").scores
    rows = tuple(replace(one, scores=same) if one.strategy in family.tied else one for one in table.rows)
    assert "is one of 2 with the highest test accuracy, 0.9" in ties(replace(table, rows=rows))


def test_the_best_of_the_family_is_bold_and_what_is_tied_with_it_has_its_sign(tmp_path: Path) -> None:
    table = one(made(tmp_path, concat=0.9, sum=0.8999))
    best = next(row for row in table.rows if row.best)
    assert {best.strategy} <= {"concat", "sum"}
    tied = {"concat": "sum", "sum": "concat"}[best.strategy]
    assert (best.mark, row(table, tied).mark) == ("", "†")
    assert {r.strategy for r in table.rows if r.mark} == {tied}
    text = markdown(table)
    assert f"| `{tied}` | {tied.capitalize()} | 0.90" in text
    assert text.split(f"| `{tied}` | ")[1].split(" | ")[1].endswith(" †")
    assert "Family all (4 strategies, all pairs, 6 seeds): bold the highest mean, † not told apart from it, by" in text
    assert "errors of seeds and test rows." in text
    (found,) = table.tests.families
    assert f"Smallest difference that it would show with 80 % power: {significant(found.detectable or 0, 2)}." in text


def test_a_near_copy_is_counted_once_and_a_diverged_row_is_tested_on_no_pair(tmp_path: Path) -> None:
    bench = made(tmp_path)
    diverged(bench, "gated")
    table = one(bench)
    (found,) = table.tests.families
    assert set(found.strategies) == {"late", "concat", "sum"}
    assert found.left_out["gated"] == "1 of 6 seeds diverged"
    assert (row(table, "gated").mark, row(table, "gated").best, row(table, "agm").mark) == ("", False, "")
    assert all(reference.of("gated") is None for reference in table.tests.references)
    said = " ".join(caption(table))
    assert "Tested on no pair of it: `gated` (1 of 6 seeds diverged); `agm` (counted once with concat:" in said


def test_a_diverged_reference_is_replaced_by_the_next_that_validation_picks(tmp_path: Path) -> None:
    bench = made(tmp_path)
    diverged(bench, LEFT)
    diverged(bench, "late")
    assert [found.reference for found in one(bench).tests.references] == [RIGHT]


def test_two_families_have_signs_of_their_own(tmp_path: Path) -> None:
    text = SUITE + "families:\n  - {name: a, rows: [late, gated]}\n  - {name: b, rows: [concat, sum]}\n"
    table = one(made(tmp_path, text, concat=0.9, sum=0.8999, late=0.7, gated=0.7001))
    assert [found.tied for found in table.tests.families] == [("late", "gated"), ("concat", "sum")]
    for strategies, sign in ((("late", "gated"), "†"), (("concat", "sum"), "‡")):
        assert {row(table, name).mark or sign for name in strategies} == {sign}
        assert any(row(table, name).mark for name in strategies)


def test_at_one_seed_nothing_is_tested_and_the_page_says_so(tmp_path: Path) -> None:
    table = one(made(tmp_path, SUITE.replace("seeds: 6", "seeds: 1") + FAMILY))
    text = markdown(table)
    assert "Family all is not tested: only one seed" in text
    assert "over late" not in text
    assert "rows are not tested against one another here" in text
    assert pairs_csv(table) == ""


def test_without_a_family_the_highest_mean_is_bold_and_not_called_tested(tmp_path: Path) -> None:
    text = markdown(one(made(tmp_path, SUITE)))
    assert "Bold: the best mean; rows are not tested against one another here." in text
    assert "†" not in text


def test_spreads_that_differ_are_named_with_what_was_done_instead(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, f"name: mine\ndatasets: [digits]\nstrategies: [{', '.join(MANY)}]\nseeds: 10\n"
                     f"families:\n  - {{name: all, rows: [{', '.join(MANY)}]}}\n")  # fmt: skip
    fill(bench, dict.fromkeys(MANY, 0.5), seed_error=0.001)
    for run in bench.runs("late"):
        bench.store.path(run).unlink()
        bench.done(run, 0.5 + (0.2 if run.seed % 2 else -0.2))
    said = " ".join(caption(one(bench)))
    assert "paired t tests with Holm's correction at .05 for all pairs together, since spreads differ" in said


def test_the_csv_has_validation_references_and_the_family(tmp_path: Path) -> None:
    table = one(made(tmp_path))
    lines = {line["strategy"]: line for line in csv.DictReader(table_csv(table).splitlines())}
    found = table.tests.references[0].of("concat")
    assert found is not None
    assert float(lines["concat"]["over_best_single"]) == pytest.approx(found.estimate.mean, rel=1e-9)
    assert float(lines["concat"]["over_best_single_p"]) == pytest.approx(found.p, rel=1e-9)
    assert lines["late"]["over_late"] == ""
    assert lines["sum"]["picked"] == "True"
    assert float(lines["sum"]["validation"]) == pytest.approx(0.95)
    assert (lines["concat"]["family"], lines["concat"]["tied"]) == ("all", "True")
    assert lines["chance"]["family"] == ""
    estimate = row(table, "concat").scores["test/accuracy"]
    assert float(lines["concat"]["test/accuracy_test_error"]) == pytest.approx(estimate.test_error, rel=1e-9)
    assert float(lines["concat"]["test/accuracy_seed_error"]) == pytest.approx(estimate.seed_error, rel=1e-9)


@pytest.mark.parametrize(("seeds", "known"), [(6, True), (5, False)])
def test_pairs_have_a_line_each_and_rank_tests_from_six_seeds_on(tmp_path: Path, seeds: int, known: bool) -> None:
    table = one(made(tmp_path, SUITE.replace("seeds: 6", f"seeds: {seeds}") + FAMILY))
    lines = list(csv.DictReader(pairs_csv(table).splitlines()))
    assert len(lines) == 6
    assert all(float(line["difference"]) >= 0 for line in lines)
    (found,) = table.tests.families
    assert float(lines[0]["p"]) == pytest.approx(found.p[0, 1], rel=1e-9)
    last = lines[-1]
    assert (last["second"], last["differ"]) == ("gated", "True")
    assert (last["wins"], last["signed_rank_p"]) == (("6", "0.03125") if known else ("", ""))


def test_ranks_over_data_sets_are_a_description(tmp_path: Path) -> None:
    text = SUITE.replace("[digits]", "[digits, wdbc]") + FAMILY
    bench = bench_of(tmp_path, text)
    means = MEANS | {f"unimodal+modality={name}": 0.5 for name in ("mean", "error", "worst")}
    fill(bench, means, seed_error=0.0001)
    found = list(tables(bench.suite, bench.store))
    page = overview(found)
    assert "| mean rank |" in page
    assert "| `gated` | faithful | full |" in page
    assert page.split("| `gated` |")[1].splitlines()[0].endswith(" 5.00 |")
    assert "Ranks are not tested: a critical difference needs 5 data sets, there are 2." in page
    assert "Family all: on how many data sets the row has a higher mean than the column, a tie half." in page
    lines = {line["strategy"]: line for line in csv.DictReader(wins_csv(found).splitlines())}
    assert (lines["late"]["gated"], lines["gated"]["late"]) == ("2.0", "0.0")
    assert wins_csv(found[:1]) == ""


def test_results_of_another_version_or_track_share_no_table(tmp_path: Path) -> None:
    bench = made(tmp_path)
    records = [record for run in bench.runs() if (record := bench.store.read(run))]
    refuse_mixtures("digits", records)
    with pytest.raises(UserError, match="one table cannot mix a results version of 2"):
        refuse_mixtures("digits", [*records, bench.record(bench.runs("late")[0], 0.5, results_version=3)])
    other = {**records[0].spec, "track": {"name": "matched_parameters", "options": {"target": 7}}}
    with pytest.raises(UserError, match="one table cannot mix a track of"):
        refuse_mixtures("digits", [*records, bench.record(bench.runs("late")[0], 0.5, spec=other)])


@pytest.mark.parametrize("words", [["report", "quickstart"], ["report", "quickstart", "--format", "csv"]])
def test_a_report_loads_neither_torch_nor_statsmodels(tmp_path: Path, words: list[str]) -> None:
    """statsmodels takes seconds to load; what is used of it, Holm's correction, is a few lines that are held to it."""
    records = tmp_path / "results" / "quickstart" / "digits" / "concat"
    published = Path(__file__).parents[2] / "results" / "quickstart" / "digits" / "concat"
    shutil.copytree(published, records)
    code = (
        "import sys\nfrom fusionbench.cli.main import main\n"
        f"assert main({[*words, '--results', str(tmp_path / 'results')]!r}) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert "concat" in done.stdout


WHY = "its one encoder reads all modalities at once; those here are <b>frozen</b> for one each"


def skipped(bench: Bench, strategy: str) -> None:
    for run in bench.runs(strategy):
        bench.store.path(run).unlink()
        bench.ended(run, "skipped", WHY)


def test_a_row_that_is_skipped_leaves_its_family_which_is_tested_with_those_left(tmp_path: Path) -> None:
    bench = made(tmp_path)
    skipped(bench, "gated")
    table = one(bench)
    (found,) = table.tests.families
    assert set(found.strategies) == {"late", "concat", "sum"}
    assert (set(found.members), found.skipped) == ({"late", "concat", "sum", "agm"}, {"gated": WHY})
    said = " ".join(caption(table))
    assert "Family all (3 strategies, all pairs, 6 seeds): bold the highest mean" in said
    assert "Tested on no pair of it: `agm` (counted once with concat: one model but for gradients)." in said
    assert (
        "Named in family all and no part of it here: `gated` (skipped: its one encoder reads all modalities at once; "
        "those here are bfrozen/b for one each)." in said
    )
    assert "survivors" not in said
    line = next(one for one in csv.DictReader(table_csv(table).splitlines()) if one["strategy"] == "gated")
    assert (line["family"], line["tied"]) == ("", "False")


def test_a_row_that_is_skipped_at_the_seeds_that_are_over_has_left_too(tmp_path: Path) -> None:
    bench = made(tmp_path, SUITE.replace("seeds: 6", "seeds: 1") + FAMILY)
    skipped(bench, "gated")
    bench.suite = bench_of(tmp_path, SUITE + FAMILY).suite
    said = " ".join(caption(one(bench)))
    assert "Family all is not tested: only one seed" in said
    assert "of 6 seeds skipped" not in said
    assert "no part of it here: `gated` (skipped: its one encoder" in said


def test_a_row_with_a_trained_and_a_skipped_seed_is_no_row_that_left(tmp_path: Path) -> None:
    bench = made(tmp_path)
    run = bench.runs("gated")[0]
    bench.store.path(run).unlink()
    bench.ended(run, "skipped", WHY)
    (found,) = one(bench).tests.families
    assert (found.left_out["gated"], found.skipped) == ("1 of 6 seeds skipped", {})
    assert "survivors" in " ".join(caption(one(bench)))
