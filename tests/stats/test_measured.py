"""Numbers of measures' files, robustness and imbalance by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from fusionbench.stats.imbalance import imbalance
from fusionbench.stats.measured import at, names, number, places
from fusionbench.stats.robust import effective, mean_over_places, places_of, relative

OURS = {
    "severities": [0.1, 0.2],
    "clean": {"accuracy": 0.8, "nll": 0.5},
    "noise": {"a": {"gaussian": {"accuracy": [0.6, 0.4], "nll": [1.0, 2.0]}}},
    "missing": {"a": {"accuracy": [0.7, 0.5]}},
}
LATE = {
    "severities": [0.1, 0.2],
    "clean": {"accuracy": 0.7, "nll": 0.6},
    "noise": {"a": {"gaussian": {"accuracy": [0.6, 0.5], "nll": [0.9, 1.6]}}},
    "missing": {"a": {"accuracy": [0.7, 0.6]}},
}
NOISE = ("a", "gaussian")


def test_relative_and_effective_robustness_by_hand() -> None:
    assert relative(OURS, NOISE, "accuracy") == pytest.approx((0.75 + 0.5) / 2)
    # f: .6, .4 of .8; LF: .6, .5 of .7, so that .7 and .6 are expected of f.
    assert effective(OURS, LATE, NOISE, "accuracy") == pytest.approx((0.6 - 0.7 + 0.4 - 0.6) / 2)
    assert effective(OURS, OURS, NOISE, "accuracy") == 0


def test_where_lower_is_better_signs_and_shares_turn() -> None:
    assert relative(OURS, NOISE, "nll") == pytest.approx((0.5 / 1 + 0.5 / 2) / 2)
    assert effective(OURS, LATE, NOISE, "nll") == pytest.approx(-((0.5 - 0.3) + (1.5 - 1.0)) / 2)


def test_what_is_not_known_is_none_and_modalities_count_alike() -> None:
    assert list(places_of(OURS)) == [NOISE, ("a", "missing")]
    assert relative(OURS, ("a", "missing"), "nll") is None
    assert effective(OURS, {}, NOISE, "accuracy") is None
    found = {("a", "gaussian"): 1.0, ("a", "blur"): 0.0, ("b", "drop"): 0.8, ("b", "missing"): 0.0}
    assert mean_over_places(found) == pytest.approx((0.5 + 0.8) / 2)
    assert mean_over_places({**found, ("b", "swap"): None}) is None
    assert mean_over_places({}) is None


def test_over_seeds_there_is_a_t_interval() -> None:
    values = [0.1, 0.2, 0.4]
    files = {seed: {"emap": {"gap": value}} for seed, value in enumerate(values)}
    found = at(files, "emap", "gap")
    assert found is not None
    low, high = stats.t.interval(0.95, 2, loc=found.mean, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert at(files, "emap", "none") is None
    assert places({0: {"x": {"b": 1}}, 1: {"x": {"a": 1, "b": 2}}}, "x") == ("b", "a")


@pytest.mark.parametrize("value", ["1", True, None, [1], {"a": 1}, math.inf, math.nan, 1e300])
def test_what_is_no_number_is_none(value: Any) -> None:
    assert number({"a": {"b": value}}, "a", "b") is None
    assert number([value], "a", "b") is None


def test_names_that_cannot_be_printed_are_none() -> None:
    assert names({"x": {"a": 1, "\x1b[2J": 2}}, "x") == ("a",)
    assert names({"x": [1]}, "x") == names(None, "x") == ()


def test_imbalance_is_the_mean_difference_of_confidences_over_epochs() -> None:
    one, other = [math.log(2), math.log(4)], [math.log(4), math.log(4), 0.0]
    assert imbalance(one, other) == pytest.approx(0.125)
    assert imbalance(other, one) == pytest.approx(-0.125)
    assert imbalance([], one) is None
