"""What differs between two suites' runs, in words."""

from __future__ import annotations

from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.report.differing import differing

BASE = "name: x\ndatasets: [{name: synthetic_pid, options: {relation: synergy}}]\nstrategies: [concat]\nseeds: 1\n"


def run(*lines: str) -> RunSpec:
    return next(suite_of(parse_source(BASE + "".join(f"{line}\n" for line in lines), "x.yaml")).runs())


def phrases(*lines: str) -> tuple[str, ...]:
    return differing(run(), run(*lines), (0, 1), (0, 1))


def test_the_same_runs_differ_in_nothing() -> None:
    assert phrases() == ()


def test_numbers_of_the_budget_are_named_also_those_that_a_key_leaves_out() -> None:
    assert phrases("budget: {epochs: 80, head_norm: false}") == (
        "budget.epochs 20, there 80",
        "budget.head_norm true, there false",
    )


def test_of_another_encoder_its_name_alone_is_said() -> None:
    found = phrases("encoders: {a: {name: linear, options: {width: 64}}}")
    assert found == ("encoders.a mlp, there linear",)


def test_the_track_is_named() -> None:
    found = phrases("tracks: [{name: matched_parameters, options: {target: 9000}}]")
    assert found == ("track same_encoders, there matched_parameters",)


def test_what_a_match_solves_for_is_named_also_where_a_key_leaves_it_out() -> None:
    track = "tracks: [{{name: matched_parameters, options: {{target: 9000, solve: {}}}}}]"
    own, head = run(track.format("own")), run(track.format("head"))
    assert differing(own, head, (0,), (0,)) == ("track.solve own, there head",)


def test_a_count_of_seeds_is_named() -> None:
    assert differing(run(), run(), range(6), range(3)) == ("seeds 6, there 3",)
