"""The page of a suite as text: what is in it, that nothing in it ends a tag, and what it holds once."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_suite import Bench, make
from test_hostile_folders import RECORDS

from fusionbench.cli.main import main
from fusionbench.plan.suite import Choice
from fusionbench.report import layout
from fusionbench.report.families import HEADINGS
from fusionbench.report.layout import columns
from fusionbench.report.measured import Shown
from fusionbench.report.numbers import count, difference, milliseconds, score
from fusionbench.report.page import libraries
from fusionbench.report.page.texts import json_text, number_of
from fusionbench.report.tables import Table, tables
from fusionbench.report.ties import ties
from fusionbench.report.write import PAGE
from fusionbench.stats.estimate import Estimate

pytest.importorskip("altair", reason="the extra `page` is not installed")
pytest.importorskip("vl_convert", reason="the extra `page` is not installed")

from fusionbench.report.page.document import Gathered, document
from fusionbench.report.page.runs import Records

MEANS = {"late": 0.90, "concat": 0.94, "gated": 0.941, "sum": 0.86}
FAMILY = "families: [{name: all, rows: [late, concat, gated, sum]}]"
EVIL = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"


class Reader(HTMLParser):
    """The tags of a page, and what its scripts hold."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str, str]] = []
        self.text = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs).get("id") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            name, before = self.scripts[-1]
            self.scripts[-1] = name, before + data
        elif self._inside != "style":
            self.text += data

    def data(self, name: str) -> str:
        return dict(self.scripts)[name]

    def packed(self) -> Any:
        return json.loads(gzip.decompress(base64.b64decode(self.data("rest"))))


def filled(folder: Path, *, sd: float = 0.01) -> Bench:
    bench = make(folder, *MEANS, seeds=4, more=FAMILY)
    for run in bench.runs():
        rng = np.random.default_rng([run.seed, len(run.strategy.name)])
        accuracy = MEANS[run.strategy.name] + float(rng.normal(0, sd))
        bench.done(run, accuracy, scores={"test/accuracy": accuracy, "test/nll": 0.5, "test/own_score": 0.25})
        bench.size(run, 1000 * len(run.strategy.name))
    (folder / "mine.yaml").write_text(
        f"name: mine\ndatasets: [digits]\nstrategies: [{', '.join(MEANS)}]\nseeds: 4\n{FAMILY}\n"
    )
    return bench


def page_of(bench: Bench, folder: Path) -> Reader:
    words = ["report", str(folder / "mine.yaml"), "--results", str(folder / "results"), "--format", "html"]
    assert main([*words, "--no-pictures"]) == 0
    return read(bench.store.root / PAGE)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def test_it_holds_every_column_of_the_report_and_every_other_score(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    found = page_of(bench, tmp_path)
    for column in columns(one(bench)):
        assert column.heading in found.text
    assert "own score" in found.text
    boxes = [attributes for tag, attributes in found.tags if tag == "input" and attributes.get("type") == "checkbox"]
    assert [("checked" in box) for box in boxes].count(False) == 1  # The score that no table knows.


def test_a_new_measure_is_a_column_without_a_change_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = filled(tmp_path)
    values = {name: Estimate(at / 10, 0.01, 4) for at, name in enumerate(MEANS, 1)}
    monkeypatch.setattr(layout, "measured_columns", lambda _: iter([Shown("made-up measure", values)]))
    found = page_of(bench, tmp_path)
    assert "made-up measure" in found.text
    cells = [attributes.get("data-v") for tag, attributes in found.tags if tag == "td"]
    assert {"0.1", "0.2", "0.3", "0.4"} <= set(cells)


def test_the_sentence_says_what_ties_with_what_and_at_what_cost(tmp_path: Path) -> None:
    bench = make(tmp_path, *MEANS, seeds=4, more=FAMILY)
    luck = (0.004, -0.004, 0.002, -0.002)
    for run in bench.runs():
        name = run.strategy.name
        far = {"late": -0.2, "sum": -0.3}.get(name, 0.0)
        # Concat and gated change places from seed to seed; the other two are far below.
        own = luck[run.seed] if name == "gated" else -luck[run.seed] / 2
        bench.done(run, 0.9 + far + own + (0.0005 if name == "gated" else 0.0))
        bench.size(run, {"gated": 12_345, "concat": 950}.get(name, 3))
    assert ties(one(bench)) == (
        "Digits: of the 4 strategies of family all, `gated` has the highest test accuracy, "
        f"{score(one(bench).rows[0].scores['test/accuracy'])}, at 12.3 k fusion parameters; `concat` is not told apart "
        "from it, at 950 fusion parameters."
    )


def test_its_policy_allows_its_own_two_scripts_and_nothing_else(tmp_path: Path) -> None:
    found = page_of(filled(tmp_path), tmp_path)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    run = [text for name, text in found.scripts if not name]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert policy.split("; ")[:2] == ["default-src 'none'", "script-src " + " ".join(f"'sha256-{h}'" for h in hashes)]
    assert len(run) == 2
    assert [a for _, a in found.tags if "src" in a or any(name.startswith("on") for name in a)] == []
    assert [a for tag, a in found.tags if tag in ("link", "iframe", "object", "embed", "img", "base")] == []


def evil_table(table: Table) -> Table:
    """Every name in it is markup."""
    rows = [
        replace(
            row,
            title=f"{EVIL} {at}",
            fidelity=EVIL,
            interaction=EVIL,
            outcomes=tuple(replace(o, state="failed", reason=EVIL) if o.run.seed == 3 else o for o in row.outcomes),
        )
        for at, row in enumerate(table.rows)
    ]
    return replace(table, title=EVIL, rows=tuple(rows))


def test_markup_in_names_reasons_and_records_is_text(tmp_path: Path) -> None:
    from fusionbench.report.making import made_report

    bench = filled(tmp_path)
    plain = page_of(bench, tmp_path)
    gathered = Gathered(replace(bench.suite, name=EVIL))
    report = made_report(bench.suite, bench.store, draw=False, seen=lambda table: gathered.add(evil_table(table)))
    record = bench.record(bench.runs()[0], 0.5, notes=[EVIL], environment={EVIL: EVIL, "nan": float("nan")})
    gathered.records.add(record)
    evil = Reader()
    evil.feed(document(gathered, report, bench.store.root, [f"{EVIL}: not counted"]).decode())
    assert len(evil.scripts) == len(plain.scripts) == 4
    assert {tag for tag, _ in evil.tags} <= {tag for tag, _ in plain.tags}
    assert EVIL in evil.text
    packed = evil.packed()
    assert packed["pool"][packed["runs"][record.key]["environment"]] == {EVIL: EVIL, "nan": "nan"}


def test_a_record_is_put_together_again_and_what_many_share_is_there_once(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    packed = page_of(bench, tmp_path).packed()
    runs: Mapping[str, Any] = packed["runs"]
    assert len(runs) == len(bench.runs()) == 16
    assert len({kept["environment"] for kept in runs.values()}) == len({kept["task"] for kept in runs.values()}) == 1
    assert len({kept["spec"] for kept in runs.values()}) == len(MEANS)
    for run in bench.runs():
        kept = dict(runs[run.key])
        for name in packed["shared"]:
            kept[name] = packed["pool"][kept[name]]
        kept["spec"] = {**kept["spec"], "seed": kept.pop("seed")}
        assert kept == json.loads(bench.store.path(run).read_text())


def test_files_for_papers_and_machines_are_in_it_as_they_lie_beside_it(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    files = page_of(bench, tmp_path).packed()["files"]
    assert {"references.bib", "checklist.tex", "digits/table.csv", "digits/table.tex", "digits/pairs.csv"} <= set(files)
    for name, text in files.items():
        if name == "references.bib":
            assert "@" in text
        else:
            assert text == (bench.store.root / name).read_text(encoding="utf-8")


def test_equal_records_give_equal_bytes_and_another_report_leaves_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = filled(tmp_path)
    page_of(bench, tmp_path)
    path = bench.store.root / PAGE
    assert capsys.readouterr().out == f"{path}\n"
    first = path.read_bytes()
    page_of(bench, tmp_path)
    assert path.read_bytes() == first
    assert main(["report", str(tmp_path / "mine.yaml"), "--results", str(tmp_path / "results"), "--no-pictures"]) == 0
    assert path.read_bytes() == first


@pytest.mark.parametrize("kind", ["truncated", "no UTF-8", "of another run", "another schema", "deep inside"])
def test_a_record_that_is_none_is_named_on_the_page_and_not_counted(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = filled(tmp_path)
    path, copied = (bench.store.path(bench.runs(name)[0]) for name in ("concat", "late"))
    content = RECORDS[kind](bench)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    copy = path.with_name(copied.name)
    copy.write_bytes(copied.read_bytes())
    found = page_of(bench, tmp_path)
    root = bench.store.root
    said = found.text.partition("Not counted")[2]
    assert f"{path.relative_to(root)}: " in said
    assert (
        f"{copy.relative_to(root)}: a copy of a record whose place is {copied.relative_to(root)}; not counted" in said
    )
    assert str(root) not in said
    assert len(found.packed()["runs"]) == 15
    assert "3/4" in found.text
    assert str(path) in capsys.readouterr().err
    again = page_of(bench, tmp_path).text.partition("Not counted")[2]
    assert f"{path.relative_to(root)}" in again  # Moved aside or left, it is still not counted.


def test_without_what_it_needs_it_says_how_to_get_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = filled(tmp_path)
    monkeypatch.setattr(libraries, "NEEDED", ("altair", "no_such_library"))
    words = ["report", str(tmp_path / "mine.yaml"), "--results", str(tmp_path / "results"), "--format", "html"]
    assert main(words) == 2
    way = "pip install 'multimodal-fusionbench[page]'"
    assert capsys.readouterr().err == f"fusionbench: --format html: no_such_library is not installed here: {way}\n"
    assert not (bench.store.root / PAGE).exists()


def test_a_strategy_whose_module_is_gone_is_a_row_and_costs_the_page_nothing(tmp_path: Path) -> None:
    from fusionbench.report.making import made_report

    bench = filled(tmp_path)
    lost = replace(bench.suite.rows[0], strategy=Choice("gone_lab.net", {"width": 3}, "ab" * 32))
    suite = replace(bench.suite, rows=(*bench.suite.rows, lost))
    gathered = Gathered(suite)
    report = made_report(suite, bench.store, draw=False, seen=gathered.add)
    found = Reader()
    found.feed(document(gathered, report, bench.store.root, []).decode())
    assert "gone_lab.net" in found.text
    assert "references.bib" not in found.packed()["files"]


def test_the_runs_that_are_missing_stand_there_without_a_record(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.store.path(bench.runs("sum")[2]).unlink()
    found = page_of(bench, tmp_path)
    keys = {attributes["data-key"] for tag, attributes in found.tags if "data-key" in attributes}
    assert keys == {run.key for run in bench.runs()} - {bench.runs("sum")[2].key}


def test_every_family_of_a_strategy_has_a_heading_to_filter_by(tmp_path: Path) -> None:
    found = page_of(filled(tmp_path), tmp_path)
    families = {attributes["data-family"] for tag, attributes in found.tags if "data-family" in attributes}
    assert families <= set(HEADINGS.values())
    assert len(families) > 1


@given(st.floats(1, 1e17))
def test_a_count_reads_back_as_the_number_that_is_shown(value: float) -> None:
    assert number_of(count(value)) == pytest.approx(value, rel=0.006 if value >= 100 else 0.5)


@given(st.floats(-1, 1), st.floats(1e-4, 0.1))
def test_a_score_reads_back_as_the_number_that_is_shown(mean: float, half: float) -> None:
    found = Estimate(mean, half, 3)
    for text in (score(found), difference(found), f"{difference(found)} *"):
        assert number_of(text) == float(text.split()[0])
    assert number_of(milliseconds(half)) == pytest.approx(half, rel=0.006)


def test_what_begins_with_no_number_is_sorted_as_words() -> None:
    assert [number_of(text) for text in ("-", "", "full", "●", "hidden=96", "k 3")] == [None] * 6
    assert [number_of(text) for text in ("1e-05", "3 kinds", "5/6")] == [1e-5, 3.0, 5.0]


def test_json_within_a_script_ends_nothing_and_has_finite_numbers_alone() -> None:
    value = {"</script>": ["<!--", float("inf"), 1.5, None], "\u2028": "é & ]]>"}
    text = json_text(value)
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == {**value, "</script>": ["<!--", "inf", 1.5, None]}


def test_records_of_one_spec_share_it_and_keep_their_seeds(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", seeds=2)
    found = Records()
    for run in bench.runs():
        found.add(bench.record(run, 0.5))
    first, second = found.runs.values()
    assert (first["seed"], second["seed"], first["spec"]) == (0, 1, second["spec"])
    assert found.pool[first["spec"]] == {n: v for n, v in asdict(bench.record(run, 0.5))["spec"].items() if n != "seed"}


def test_the_script_that_draws_holds_no_end_of_a_script() -> None:
    text = libraries.drawing_script()
    assert "vegaEmbed" in text
    assert "<!--" not in text
    assert len(text.encode()) < 3e6
