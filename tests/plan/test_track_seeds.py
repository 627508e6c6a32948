"""Fewer seeds for one track: which runs are planned, and that nothing else of a run moves."""

from __future__ import annotations

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, with_settings
from fusionbench.plan.suite import Suite

BASE = "name: x\ndatasets: [digits]\nstrategies: [concat, late]\n"
MATCHED = "tracks: [same_encoders, {name: matched_parameters, options: {target: 9000}, seeds: SEEDS}]\n"


def suite(seeds: str, of_track: str, *settings: str) -> Suite:
    text = f"{BASE}seeds: {seeds}\n{MATCHED.replace('SEEDS', of_track)}"
    return suite_of(with_settings(parse_source(text, "my.yaml"), list(settings)))


def planned(found: Suite) -> list[tuple[int, str]]:
    return list(dict.fromkeys((run.seed, run.track.name) for run in found.runs()))


@pytest.mark.parametrize(
    ("seeds", "of_track", "expected"),
    [
        ("3", "1", [0]),
        ("3", "3", [0, 1, 2]),
        ("3", "8", [0, 1, 2]),  # A count is at most all: `--set seeds=1` needs no second setting.
        ("[7, 3, 5]", "2", [7, 3]),
        ("[7, 3, 5]", "[5, 7]", [7, 5]),  # In the suite's order.
        ("3", "[2]", [2]),
    ],
)
def test_a_track_has_the_first_so_many_seeds_or_those_it_names(seeds: str, of_track: str, expected: list[int]) -> None:
    found = suite(seeds, of_track)
    same, matched = found.tracks
    assert found.seeds_of(same) == found.seeds
    assert found.seeds_of(matched) == tuple(expected)
    assert [run.seed for run in found.runs() if run.track == matched and run.strategy.name == "late"] == expected
    assert sum(run.track == same for run in found.runs()) == 2 * len(found.seeds)


def test_seeds_stay_outermost() -> None:
    expected = [(0, "same_encoders"), (0, "matched_parameters"), (1, "same_encoders"), (2, "same_encoders")]
    assert planned(suite("3", "1")) == expected


def test_a_run_has_the_key_that_it_has_in_a_suite_of_all_seeds() -> None:
    fewer, every = ({run.key for run in suite("3", of_track).runs()} for of_track in ("2", "3"))
    assert len(fewer) == 10
    assert fewer < every
    assert fewer == {run.key for run in suite("3", "2").runs()}


def test_a_setting_may_make_them_fewer_for_all() -> None:
    assert planned(suite("6", "3", "seeds=1")) == [(0, "same_encoders"), (0, "matched_parameters")]


def test_a_trial_seed_may_be_none_of_the_suites_seeds_whatever_the_track_has() -> None:
    text = f"{BASE}seeds: 3\ntracks: [{{name: matched_parameters, options: {{trial_seed: 2}}, seeds: 1}}]"
    with pytest.raises(UserError, match=r"trial_seed: seed 2 is one of the suite's"):
        suite_of(parse_source(text, "my.yaml"))


@pytest.mark.parametrize("of_track", ["0", "-1", "true", "1.5", "'3'", "~", "[]", "[1, 1]", "[3]", "[true]", "[a]"])
def test_seeds_that_the_suite_has_not_are_one_line(of_track: str) -> None:
    text = (
        r"^my.yaml, line 5: tracks.1.seeds: give a count from 1 on, or a list of some of the suite's seeds \(0, 1, 2\)"
    )
    with pytest.raises(UserError, match=text) as caught:
        suite("3", of_track)
    assert "\n" not in str(caught.value)


def test_of_many_seeds_the_first_are_named() -> None:
    with pytest.raises(UserError, match=r"\(0, 1, .*, 11, \.\.\.\), got \[99\]"):
        suite("40", "[99]")


def test_a_key_that_a_track_does_not_have_is_one_line() -> None:
    with pytest.raises(UserError, match=r"tracks.0.sed: no key 'sed'; did you mean 'seeds'\? Known: name, options, s"):
        suite_of(parse_source(f"{BASE}tracks: [{{name: same_encoders, sed: 1}}]", "my.yaml"))


def test_two_tracks_that_differ_in_seeds_alone_are_one_named_twice() -> None:
    with pytest.raises(UserError, match=r"tracks.1: 'same_encoders' is named twice"):
        suite_of(parse_source(f"{BASE}tracks: [same_encoders, {{name: same_encoders, seeds: 1}}]", "my.yaml"))
