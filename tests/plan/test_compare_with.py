"""`compare_with`: which suites it takes, and that it moves no run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source, with_settings

BASE = "name: mine\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 2\n"


def test_shipped_suites_go_by_name_and_runs_stay_as_they_are() -> None:
    found = suite_of(parse_source(f"{BASE}compare_with: [smoke, quickstart]\n", "mine.yaml"))
    assert found.compare_with == ("smoke", "quickstart")
    plain = suite_of(parse_source(BASE, "mine.yaml"))
    assert plain.compare_with == ()
    assert [run.key for run in found.runs()] == [run.key for run in plain.runs()]


def test_the_command_line_may_set_it() -> None:
    source = with_settings(parse_source(BASE, "mine.yaml"), ["compare_with=[smoke]"])
    assert suite_of(source).compare_with == ("smoke",)


def test_a_file_is_looked_for_beside_the_suites_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(f"{BASE}compare_with: [other.yaml]\n")
    (tmp_path / "other.yaml").write_text(BASE.replace("mine", "other"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (path,) = load_suite("../mine.yaml").compare_with
    assert load_suite(path).name == "other"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("[smok]", "mine.yaml, line 5: compare_with.0: no shipped suite 'smok'; did you mean 'smoke'"),
        ("[smoke, smoke]", "compare_with.1: 'smoke' is named twice"),
        ("[there/is/none.yaml]", "compare_with.0: there/is/none.yaml: No such file"),
        ("smoke", "mine.yaml, line 5: compare_with: "),
        ("[3]", "mine.yaml, line 5: compare_with.0: "),
    ],
)
def test_a_mistake_is_a_line_that_names_its_place(given: str, words: str) -> None:
    with pytest.raises(UserError) as found:
        suite_of(parse_source(f"{BASE}compare_with: {given}\n", "mine.yaml"))
    assert words in str(found.value)


def test_a_suite_is_not_compared_with_itself() -> None:
    with pytest.raises(UserError, match="'smoke' is this suite"):
        suite_of(parse_source(f"{BASE.replace('mine', 'smoke')}compare_with: [smoke]\n", "smoke.yaml"))


@pytest.mark.parametrize("name", ["cifar10_frozen", "imdb_frozen"])
def test_what_a_frozen_suite_is_compared_with_differs_in_one_thing(name: str) -> None:
    suite = load_suite(name)
    others = {other: load_suite(other) for other in suite.compare_with}
    assert list(others) == [f"{name}_{kind}" for kind in ("4x", "other_encoders", "unnormalised")]
    for other in others.values():
        assert other.seeds == suite.seeds[:3]
        assert other.datasets == suite.datasets
        assert other.tracks == suite.tracks[:1]
        assert [row.strategy for row in other.rows] == [r.strategy for r in suite.rows if r.track == suite.tracks[0]]
    longer, encoders, unnormalised = others.values()
    # With the same encoders their weights and encodings are shared, and are no second thing that differs.
    assert all(other.rows == suite.rows[: len(other.rows)] for other in (longer, unnormalised))
    assert longer.budget == replace(suite.budget, epochs=4 * suite.budget.epochs)
    assert unnormalised.budget == replace(suite.budget, head_norm=False)
    assert encoders.budget == suite.budget
    pairs = zip(encoders.rows, suite.rows, strict=False)
    assert all(a.encoders != b.encoders for a, b in pairs if a.encoders)
