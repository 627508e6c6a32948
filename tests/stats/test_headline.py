"""What validation picks, and what it costs on the test rows."""

from __future__ import annotations

import pytest

from fusionbench.stats.estimate import Scored
from fusionbench.stats.headline import headline, picked


def row(*scores: float) -> dict[int, Scored]:
    return dict(enumerate(map(Scored, scores)))


def test_the_headline_is_what_validation_picks_not_the_highest_test_mean() -> None:
    rows = {"a": row(0.90, 0.92), "b": row(0.95, 0.95), "c": row(0.5, 0.5)}
    found = headline(rows, {"a": 0.99, "b": 0.98, "c": 0.4, "gone": 1.0})
    assert found is not None
    assert (found.strategy, found.highest, found.among) == ("a", "b", 3)
    assert found.regret == pytest.approx(0.04)
    assert found.estimate.mean == pytest.approx(0.91)


def test_where_validation_picks_the_highest_there_is_no_regret() -> None:
    rows = {"z": row(0.9), "a": row(0.9)}
    found = headline(rows, {"z": 0.9, "a": 0.8})
    assert found is not None
    assert (found.strategy, found.highest, found.regret) == ("z", "z", 0.0)


def test_of_equal_ones_the_first_by_name_and_of_none_nothing() -> None:
    assert picked({"b": 0.9, "a": 0.9}) == "a"
    assert headline({"a": row(0.9)}, {}) is None
    assert headline({}, {"a": 0.9}) is None
