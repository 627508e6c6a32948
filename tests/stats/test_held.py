"""What files of measures hold, whichever measure: numbers, lists, and what these go along."""

from __future__ import annotations

from typing import Any

import pytest

from fusionbench.stats.held import DEEPEST, LISTS, LONGEST, PLACE, Axis, axes, held

FILE = {
    "schema": 1,
    "key": "k",
    "options": {"rows": 1000},
    "rows": 9,
    "test": {"ece": 0.1, "said": "no number", "worked": True},
    "selective": {"coverage": [0.5, 1.0], "risk": [0.0, 0.2]},
    "bins": [{"count": 0, "right": None}, {"count": 3, "right": 0.5}],
}


def test_numbers_and_lists_stand_by_where_they_are() -> None:
    found = held(FILE)
    assert found.numbers == {("rows",): 9.0, ("test", "ece"): 0.1}
    assert found.lists == {
        ("selective", "coverage"): (0.5, 1.0),
        ("selective", "risk"): (0.0, 0.2),
        ("bins", "count"): (0.0, 3.0),
        ("bins", "right"): (None, 0.5),
    }


def test_a_list_goes_along_what_rises_and_is_the_same_in_every_file() -> None:
    other = {**FILE, "selective": {"coverage": [0.5, 1.0], "risk": [0.1, 0.3]}, "bins": []}
    found = axes([held(FILE), held(other)])
    assert found == {
        ("selective", "risk"): Axis("coverage", (0.5, 1.0)),
        ("bins", "count"): Axis(PLACE, (1.0, 2.0)),
        ("bins", "right"): Axis(PLACE, (1.0, 2.0)),
    }


def test_an_axis_is_looked_for_upwards_and_has_to_be_as_long() -> None:
    def file(*values: float) -> dict[str, Any]:
        return {"steps": [1, 2, 3], "near": {"left": {"score": list(values)}}, "short": [5.0, values[0]]}

    found = axes([held(file(0.3, 0.2, 0.1)), held(file(0.4, 0.2, 0.1))])
    assert found["near", "left", "score"] == Axis("steps", (1.0, 2.0, 3.0))
    assert found["short",].name == PLACE
    assert ("steps",) not in found


@pytest.mark.parametrize(
    "file",
    [
        {"a": [1, [2], "x", None], "b": {"\x1b[2J": 3}},
        {"a": [], "b": {}, "c": None, "d": "x", "e": float("nan"), "f": 1e300},
        {"long": [0.0] * (LONGEST + 1)},
    ],
)
def test_what_is_something_else_ends_nothing(file: dict[str, Any]) -> None:
    found = held(file)
    assert found.numbers == {}
    assert set(found.lists) <= {("a",)}
    axes([found])


def test_of_more_lists_than_anybody_reads_the_first_are_kept() -> None:
    found = held({f"{at:04}": [float(at), 0.0] for at in range(10 * LISTS)})
    assert list(found.lists) == [(f"{at:04}",) for at in range(LISTS)]


def test_what_is_deeper_than_anybody_reads_is_left_out() -> None:
    deep: Any = 1.0
    for _ in range(5 * DEEPEST):
        deep = {"a": deep}
    assert held({"deep": deep, "high": 2}).numbers == {("high",): 2.0}
