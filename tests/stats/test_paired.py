"""All differences at once are what each is by itself, whatever seeds and draws strategies have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fusionbench.stats.estimate import Scored, difference
from fusionbench.stats.paired import matrix, paired

Table = dict[str, dict[int, Scored]]


def made(count: int = 4, seeds: int = 5, draw: str = "d", start: int = 0) -> Table:
    rng = np.random.default_rng(start)
    return {
        f"s{k}": {seed: Scored(rng.normal(0.9, 0.01), rng.normal(0.9, 0.01, 60), draw, 50) for seed in range(seeds)}
        for k in range(start, start + count)
    }


def held(table: Table) -> None:
    found = matrix(table)
    for a, ours in table.items():
        for b, theirs in table.items():
            if a == b or not ours.keys() & theirs.keys():
                continue
            alone, seen = difference(ours, theirs), found.estimate(a, b)
            assert seen.n == alone.n
            assert seen.mean == pytest.approx(alone.mean)
            for ours_, theirs_ in (
                (seen.half_width, alone.half_width),
                (seen.seed_error, alone.seed_error),
                (seen.test_error, alone.test_error),
            ):
                assert (ours_ is None) == (theirs_ is None)
                assert ours_ == pytest.approx(theirs_)


def test_every_difference_is_that_of_the_pair_alone() -> None:
    held(made())


def test_strategies_without_some_seeds_are_held_against_others_where_both_have_them() -> None:
    table = made(5)
    del table["s1"][4], table["s2"][0], table["s2"][1], table["s3"][0]
    table["s4"] = {0: table["s4"][0]}
    held(table)
    assert matrix(table).n[1, 2] == 2


def test_strategies_that_share_no_seed_have_no_difference() -> None:
    table = made(2)
    table["s0"] = {7: table["s0"][0]}
    assert np.isnan(matrix(table).mean[0, 1])


def test_rows_of_another_draw_or_none_leave_the_seeds_error_alone() -> None:
    table = made(2) | made(2, draw="e", start=2)
    table["bare"] = {seed: Scored(0.9 + 0.01 * seed) for seed in range(5)}
    held(table)
    found = matrix(table)
    assert np.isnan(found.test_error[0, 2])
    assert np.isnan(found.test_error[4, 4])
    assert found.test_error[2, 3] > 0


def test_without_rows_p_is_that_of_the_paired_t_test() -> None:
    scores = np.random.default_rng(2).normal(size=(2, 3, 6))
    found = paired(scores)
    assert found.p[1, 0, 2] == pytest.approx(stats.ttest_rel(scores[1, 0], scores[1, 2]).pvalue)
    assert found.p[0, 1, 1] == 1.0


def test_a_strategy_and_its_equal_differ_by_exactly_nothing() -> None:
    table = made(2)
    table["again"] = table["s0"]
    found = matrix(table)
    assert (found.mean[0, 2], found.half_width[0, 2], found.p[0, 2]) == (0.0, 0.0, 1.0)


def test_a_difference_without_any_error_is_no_find() -> None:
    """Fitted strategies give one score at all seeds; without resamples nothing says how sure their difference is."""
    table = {name: {seed: Scored(score) for seed in range(3)} for name, score in (("a", 0.9), ("b", 0.8))}
    assert matrix(table).p[0, 1] == 1.0
