"""Parts of a suite: filters and shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.select import only, shard
from fusionbench.plan.source import parse_source

SUITE = suite_of(
    parse_source("name: x\nseeds: 3\ndatasets: [digits, wdbc]\nstrategies: [unimodal, concat, late]", "x.yaml")
)
RUNS = list(SUITE.runs())


def test_a_filter_keeps_what_it_names_in_order() -> None:
    found = only(RUNS, ["strategy=late,concat"])
    assert found == [run for run in RUNS if run.strategy.name in ("late", "concat")]
    assert len(found) == 2 * 2 * 3


def test_filters_add_up() -> None:
    found = only(RUNS, ["dataset=digits", "seed=1", "strategy=concat"])
    assert [(run.dataset.name, run.seed, run.strategy.name) for run in found] == [("digits", 1, "concat")]
    assert only(RUNS, [f"key={found[0].key}"]) == found


def test_a_track_may_be_named_by_its_kind_or_in_full() -> None:
    tracks = "[same_encoders, {name: matched_parameters, options: {target: 9000}}]"
    text = f"{{name: t, datasets: [digits], strategies: [concat, late], seeds: 2, tracks: {tracks}}}"
    runs = list(suite_of(parse_source(text, "t.yaml")).runs())
    matched = [run for run in runs if run.track.name == "matched_parameters"]
    assert only(runs, ["track=matched_parameters"]) == matched
    assert only(runs, ["track=matched_parameters+target=9000"]) == matched
    assert only(runs, ["track=same_encoders"]) == [run for run in runs if run not in matched]


def test_a_row_is_named_as_tables_name_it() -> None:
    found = only(RUNS, ["dataset=digits", "strategy=unimodal+modality=left,late", "seed=0"])
    assert [(run.strategy.name, run.strategy.options) for run in found] == [
        ("unimodal", {"modality": "left"}),
        ("late", {}),
    ]
    with pytest.raises(UserError, match=r"did you mean 'unimodal\+modality=left'\? Known: concat, late, unimodal\+"):
        only(RUNS, ["strategy=unimodal+modality=lift"])


def test_no_filter_keeps_all() -> None:
    assert only(RUNS, []) == RUNS


@pytest.mark.parametrize("text", ["strategy", "strategy=", "colour=red", "=late", ""])
def test_a_filter_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match=r"--only .*: give it as dataset=\.\.\. or strategy=\.\.\."):
        only(RUNS, [text])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "strategy=lat",
            r"--only strategy=lat: no strategy 'lat'; did you mean 'late'\? Known: concat, late, unimodal",
        ),
        ("seed=7", r"--only seed=7: no seed '7'. Known: 0, 1, 2"),
        ("strategy=late,", "no strategy ''"),
    ],
)
def test_a_value_that_no_run_has_is_an_error_with_the_nearest_one(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        only(RUNS, [text])


@given(st.integers(1, 12))
def test_the_shares_are_the_whole_each_run_once(count: int) -> None:
    shares = [shard(RUNS, f"{k}/{count}") for k in range(1, count + 1)]
    assert sorted(run.key for share in shares for run in share) == sorted(run.key for run in RUNS)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    "text", ["0/2", "3/2", "1/0", "-1/2", "1", "1/", "/2", "a/b", "1/2/3", "1 /2", "", "1/" + "9" * 5000]
)
def test_a_share_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="give it as 1/4"):
        shard(RUNS, text)
