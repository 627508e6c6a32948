"""Targets: what each row can reach against counts by hand, and ladders against every target tried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.bench.matching import WIDEST
from fusionbench.bench.targets import Reach, ladder, reaches, rounded_up
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec

STRATEGIES = "[chance, concat, unimodal, concat_wide, unimodal_wide, low_rank, cross_attention, co_attention, stacking]"
D, C = 64, 2
"""Units of an encoding of synthetic_pid, and its classes."""


def runs(strategies: str = STRATEGIES) -> Iterator[RunSpec]:
    dataset = "{name: synthetic_pid, options: {relation: synergy}}"
    tracks = "[same_encoders, matched_parameters]"
    text = f"name: x\nseeds: 2\ndatasets: [{dataset}]\nstrategies: {strategies}\ntracks: {tracks}"
    return suite_of(parse_source(text, "x.yaml")).runs()


def by_name(strategies: str = STRATEGIES) -> dict[str, Reach]:
    return {row.strategy: row for row in reaches(runs(strategies))[0]}


def test_each_row_is_there_once_but_for_what_has_nothing_to_match() -> None:
    rows, unusable = reaches(runs())
    assert [row.strategy for row in rows] == [
        "concat",
        "unimodal+modality=a",
        "unimodal+modality=b",
        "concat_wide",
        "unimodal_wide+modality=a",
        "unimodal_wide+modality=b",
        "low_rank",
        "cross_attention",
    ]
    assert [(row.strategy, row.reason.partition(":")[0]) for row in unusable] == [
        ("co_attention", "every modality is one vector")
    ]
    assert {row.dataset for row in rows} | {row.dataset for row in unusable} == {"synthetic_pid+relation=synergy"}


def test_counts_are_those_of_the_formulas() -> None:
    def concat(width: int) -> int:
        return (2 * D + 1) * width + (width + 1) * C

    def unimodal(width: int) -> int:
        return (D + 1) * width + (width + 1) * C

    rows = by_name()
    for name, count in (("concat", concat), ("unimodal+modality=a", unimodal)):
        row = rows[name]
        assert (row.smallest, row.at_width, row.largest) == (count(1), count(D), count(WIDEST))
        assert (row.width, row.times, row.default) == (D, 1, concat(D))
        assert [row.head_at(count(width)) for width in (1, 63, D, 500)] == [1, 63, D, 500]
        assert row.head_at(count(1) // 2) is None


def test_the_heads_of_a_wide_baseline_are_as_wide_as_they_are_built() -> None:
    rows = by_name()
    for wide, plain in (("concat_wide", "concat"), ("unimodal_wide+modality=b", "unimodal+modality=b")):
        assert rows[wide].times == 8
        assert rows[wide].at_width == rows[plain].at_width
        assert rows[wide].head_at(rows[plain].at_width) == D
        assert rows[wide].smallest == rows[plain].count(8)
    few = by_name("[{name: concat_wide, options: {widening: 3}}]")
    (row,) = few.values()
    assert (row.times, row.at_width) == (3, rows["concat"].count(3 * 22))  # 21 times 3 is 63, narrower than 64.


def test_a_row_fits_exactly_where_a_real_match_has_heads_that_are_wide_enough() -> None:
    for row in by_name().values():
        for target in (row.smallest, row.at_width - row.at_width // 20, row.at_width, 3 * row.at_width):
            assert row.fits(target) == ((row.head_at(target) or 0) >= row.width)


def made_up(at_width: int, largest: int) -> Reach:
    def never(_: int) -> int:
        raise AssertionError

    return Reach("d", str(at_width), 64, 1, 1, at_width, max(largest, at_width), 1, never)


@given(st.lists(st.builds(made_up, st.integers(1, 999), st.integers(1, 4000)), min_size=1, max_size=8))
def test_a_rung_is_the_smallest_target_that_leaves_out_so_few_and_none_leaves_out_fewer(rows: list[Reach]) -> None:
    def left_out(target: int) -> int:
        return sum(not row.fits(target) for row in rows)

    best: list[int] = []  # Targets that leave out fewer than all smaller ones.
    fewest = len(rows)
    for target in range(1, 5000):
        if left_out(target) < fewest:
            best, fewest = [*best, target], left_out(target)
    rungs = ladder(rows)
    assert [rung.target for rung in rungs] == best
    assert [len(rung.left_out) for rung in rungs] == [left_out(target) for target in best]


def test_no_rows_have_no_ladder() -> None:
    assert ladder([]) == []
    assert reaches(runs("[chance]")) == ([], [])


@pytest.mark.parametrize(("count", "rounded"), [(7, 7), (999, 999), (1000, 1000), (1001, 1010), (1_704_086, 1_710_000)])
def test_targets_have_three_digits(count: int, rounded: int) -> None:
    assert rounded_up(count) == rounded


def test_every_strategy_but_the_listed_has_wide_heads_at_the_last_rung() -> None:
    rows = list(by_name().values())
    rung = ladder(rows)[-1]
    assert rung.left_out == ()
    assert all((row.head_at(rung.target) or 0) >= row.width for row in rows)
    assert rung.target == rounded_up(max(row.at_width for row in rows))
