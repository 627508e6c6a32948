"""A family: who is in it, who is left out and why, and who is tied with the best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fusionbench.stats.estimate import Scored
from fusionbench.stats.families import counted_once, family

Table = dict[str, dict[int, Scored]]


def made(means: dict[str, float], seeds: int = 6, sd: float = 0.002) -> Table:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, seeds)
    return {
        name: {s: Scored(mean + shared[s] + sd * rng.normal(), rng.normal(mean, 0.001, 400), "d", 900) for s in shared_}
        for name, mean in means.items()
        for shared_ in [range(seeds)]
    }


def test_the_best_is_tied_with_what_does_not_differ_from_it() -> None:
    found = family("f", made({"a": 0.9, "b": 0.8999, "c": 0.85, "d": 0.7}), {}, {})
    assert found.strategies[-2:] == ("c", "d")
    assert set(found.tied) == {"a", "b"}
    assert set(found.best) == {found.strategies[0]}
    assert found.has_rows
    assert found.mean[0, 3] == pytest.approx(0.2, abs=0.01)
    assert found.p[0, 3] < 0.01 < found.p[0, 1]


def test_equal_means_are_the_best_together() -> None:
    table = made({"a": 0.9, "b": 0.8})
    table["c"] = table["a"]
    found = family("f", table, {}, {})
    assert set(found.best) == {"a", "c"}
    assert set(found.tied) == {"a", "c"}


def test_near_copies_are_counted_once_as_the_model_that_they_are() -> None:
    copies = {"agm": "concat", "pmr": "concat"}
    kept, counted = counted_once(("agm", "late", "concat", "pmr"), copies)
    assert kept == ("late", "concat")
    assert counted["agm"] == "counted once with concat: one model but for gradients"
    assert counted_once(("agm", "pmr", "late"), copies)[0] == ("agm", "late")
    found = family("f", made({"agm": 0.9, "concat": 0.9, "late": 0.7}), copies, {})
    assert set(found.strategies) == {"concat", "late"}
    assert set(found.left_out) == {"agm"}


def test_a_strategy_without_all_seeds_is_left_out_and_a_seed_that_few_have_too() -> None:
    table = made({"a": 0.9, "b": 0.8, "c": 0.7})
    del table["b"][0], table["b"][1]
    found = family("f", table, {}, {"d": "1 seed diverged"})
    assert set(found.strategies) == {"a", "c"}
    assert found.left_out == {"d": "1 seed diverged", "b": "not all seeds are done"}
    late = made({"a": 0.9, "b": 0.8, "c": 0.7})
    del late["b"][5], late["c"][5]
    assert family("f", late, {}, {}).seeds == (0, 1, 2, 3, 4)


def test_one_seed_or_one_strategy_is_no_test() -> None:
    one = family("f", made({"a": 0.9, "b": 0.8}, seeds=1), {}, {})
    assert (one.is_tested, one.best, one.tied) == (False, (), ())
    assert one.left_out == {"a": "only one seed", "b": "only one seed"}
    alone = family("f", made({"a": 0.9}), {}, {})
    assert not alone.is_tested
    assert family("f", {}, {}, {}).strategies == ()


def test_spreads_that_differ_are_tested_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    table = {
        name: {s: Scored(0.5 + sd * rng.normal()) for s in range(10)}
        for name, sd in {"a": 0.001, "b": 0.001, "c": 0.001, "d": 0.001, "e": 0.2}.items()
    }
    found = family("f", table, {}, {})
    assert (found.method, found.has_rows) == ("holm", False)
    assert found.unlike < 0.05


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_detectable_difference_is_found_80_times_in_100(seeds: int) -> None:
    """By the noncentral t distribution, at the threshold that the family itself has."""
    rng = np.random.default_rng(2)
    table = {f"s{k}": {s: Scored(0.9 + 0.01 * rng.normal()) for s in range(seeds)} for k in range(2)}
    found = family("f", table, {}, {})
    assert found.detectable is not None
    error = found.half_width[0, 1] / stats.t.ppf(0.975, seeds - 1)
    power = stats.nct.sf(found.half_width[0, 1] / error, seeds - 1, found.detectable / error)
    assert power == pytest.approx(0.8, abs=1e-3)
