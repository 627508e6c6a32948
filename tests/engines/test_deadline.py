"""A time limit, by a clock that the test turns."""

from __future__ import annotations

from fusionbench.engines.deadline import Deadline


def test_no_seed_begins_that_would_not_be_whole_by_then() -> None:
    now = [100.0]
    deadline = Deadline(60, lambda: now[0])
    assert deadline.has_room_for(1000)  # Nothing is known yet, and something has to be done.
    now[0] += 20
    deadline.learn(10, 20)
    assert deadline.has_room_for(20)
    assert not deadline.has_room_for(21)
    now[0] += 39
    assert (deadline.left, deadline.is_over) == (1, False)
    now[0] += 1
    assert deadline.is_over
    assert not deadline.has_room_for(0)


def test_a_limit_that_is_over_at_once_leaves_no_room() -> None:
    assert not Deadline(0, lambda: 5.0).has_room_for(1)
