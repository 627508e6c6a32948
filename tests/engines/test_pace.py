"""How long a job still takes, by what it has done so far."""

from __future__ import annotations

from fusionbench.bench.jobs import Message
from fusionbench.engines.pace import Pace


def test_what_is_left_follows_from_what_was_done_since_it_was_first_heard_of() -> None:
    clock = [100.0]
    pace = Pace(lambda: clock[0])
    clock[0] += 7.0  # It starts, and loads its data.
    assert pace.facts(Message("progress", done=0, total=10, facts={"pid": 4711})) == {
        "done": 0,
        "total": 10,
        "ran_s": 7.0,
        "left_s": None,
        "worker": 4711,
    }
    clock[0] += 6.0
    assert pace.facts(Message("progress", done=2, total=10)) == {
        "done": 2,
        "total": 10,
        "ran_s": 13.0,
        "left_s": 24.0,
        "worker": 4711,
    }


def test_one_that_goes_on_in_the_middle_is_no_faster_for_it() -> None:
    clock = [0.0]
    pace = Pace(lambda: clock[0])
    pace.facts(Message("progress", done=90, total=100))
    clock[0] += 5.0
    assert pace.facts(Message("progress", done=91, total=100))["left_s"] == 45.0


def test_another_try_begins_anew_and_is_counted() -> None:
    clock = [0.0]
    pace = Pace(lambda: clock[0])
    pace.facts(Message("progress", done=0, total=10, facts={"pid": 1}))
    clock[0] += 5.0
    assert pace.facts(Message("progress", done=5, total=10))["left_s"] == 5.0
    clock[0] += 95.0
    found = pace.facts(Message("progress", done=0, total=10, facts={"pid": 2, "tries": 2}))
    assert (found["worker"], found["tries"], found["left_s"], found["ran_s"]) == (2, 2, None, 100.0)
    clock[0] += 5.0
    found = pace.facts(Message("progress", done=5, total=10))
    assert (found["worker"], found["tries"], found["left_s"]) == (2, 2, 5.0)
