"""What strategies, data sets and tracks are called where people read."""

from __future__ import annotations

import pytest

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, shipped_suites
from fusionbench.plan.suite import Choice, Suite
from fusionbench.report.titles import dataset_title, strategy_title, title, track_title


def suite(datasets: str) -> Suite:
    return suite_of(parse_source(f"name: x\ndatasets: [{datasets}]\nstrategies: [concat]\n", "x.yaml"))


@pytest.mark.parametrize("name", names("strategy"))
def test_every_strategy_has_a_name_of_papers_and_no_two_the_same(name: str) -> None:
    displays = [describe("strategy", other).facts.get("display") for other in names("strategy")]
    own = describe("strategy", name).facts["display"]
    assert displays.count(own) == 1
    assert 0 < len(own) <= 22
    assert own[0].isupper()


@pytest.mark.parametrize("name", names("dataset"))
def test_every_data_set_has_a_name_of_papers(name: str) -> None:
    assert describe("dataset", name).facts["display"][0].isupper()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice("low_rank"), "LMF"),
        (Choice("low_rank", {"rank": 8, "hidden": 128}), "LMF (rank 8)"),
        (Choice("unimodal", {"modality": "left_half"}), "Unimodal (left half)"),
        (Choice("gated_by_one", {"gate": "left", "hidden": 64}), "Gated (left, hidden 64)"),
        (Choice("mine.my_fusion", {"width": 3, "on": True}), "My fusion (width 3, on true)"),
    ],
)
def test_a_strategys_title_says_what_differs_from_its_defaults(choice: Choice, expected: str) -> None:
    assert strategy_title(choice) == expected


def test_a_suites_own_title_comes_before_the_default_and_moves_no_key() -> None:
    plain, titled = suite("digits"), suite("{name: digits, title: 'Handwritten  digits'}")
    assert dataset_title(plain, plain.datasets[0]) == "Digits"
    assert dataset_title(titled, titled.datasets[0]) == "Handwritten digits"
    assert [run.key for run in plain.runs()] == [run.key for run in titled.runs()]


def test_the_command_line_may_set_a_title() -> None:
    from fusionbench.plan.source import with_settings

    text = "name: x\ndatasets: [{name: digits}]\nstrategies: [concat]\n"
    found = suite_of(with_settings(parse_source(text, "x.yaml"), ["datasets=[{name: digits, title: Mine}]"]))
    assert dataset_title(found, found.datasets[0]) == "Mine"


def test_default_titles_of_several_data_sets_differ() -> None:
    shards = "{name: youtube8m, options: {shards: {train: train 0-%d, validation: train 7, test: train 8}}}"
    found = suite(f"{shards % 3}, {shards % 4}, {{name: synthetic_pid, options: {{relation: unique_a, noise: 2.0}}}}")
    titles = [dataset_title(found, dataset) for dataset in found.datasets]
    assert titles == ["YouTube-8M", "YouTube-8M no. 2", "Synthetic PID (unique a, noise 2)"]


@pytest.mark.parametrize("name", shipped_suites())
def test_no_title_of_a_shipped_suite_is_a_slug_with_a_hash(name: str) -> None:
    from fusionbench.plan.load import load_suite

    found = load_suite(name)
    titles = [dataset_title(found, dataset) for dataset in found.datasets]
    assert len(set(titles)) == len(titles)
    assert not [one for one in titles if "+1" in one or "_" in one or "=" in one or len(one) > 45]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: digits, title: ''}", "line 2: datasets.0.title: a title is up to 60 characters on one line, got ''"),
        ("{name: digits, title: 3}", "line 2: datasets.0.title: give a word, got 3"),
        ("{name: digits, title: " + "x" * 61 + "}", "a title is up to 60 characters on one line"),
        ('{name: digits, title: "a\\nb"}', "a title is up to 60 characters on one line"),
        ("{name: digits, title: A}, {name: wdbc, title: A}", "datasets.1.title: 'A' is the title of two data sets"),
        ("{name: digits, titel: A}", "datasets.0.titel: no key 'titel'; did you mean 'title'?"),
    ],
)
def test_a_title_that_is_none_is_one_line_with_its_place(entry: str, words: str) -> None:
    with pytest.raises(UserError) as raised:
        suite(entry)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (Choice("same_encoders"), "same encoders"),
        (Choice("matched_parameters", {"target": 1_600_000}), "matched parameters (1.60 M)"),
        (Choice("matched_parameters", {"solve": "own", "target": 950}), "matched parameters (own widths, 950)"),
    ],
)
def test_a_track_in_words(track: Choice, expected: str) -> None:
    assert track_title(track) == expected


def test_scores_have_the_fields_names() -> None:
    assert [title(name) for name in ("test/gap20", "validation/nll", "test/own_score", "")] == [
        "GAP@20",
        "NLL",
        "own score",
        "score",
    ]
