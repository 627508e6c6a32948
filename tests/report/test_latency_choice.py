"""Which latency session a table shows."""

from __future__ import annotations

from typing import Any

import pytest

from fusionbench.report.latency import newest_complete


def row(strategy: str, ms: float, **changes: Any) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "scope": "end_to_end",
        "batch_size": 1,
        "threads": 1,
        "device": "cpu",
        "rounds": 3,
        "calls": 500,
        "seconds": 1.99,
        "p10_ms": 0.9 * ms,
        "median_ms": ms,
        "p90_ms": 1.3 * ms,
        "spread": 0.01,
        **changes,
    }


def session(*rows: dict[str, Any], started: str = "2026-01-01", **changes: Any) -> dict[str, Any]:
    return {
        "key": "k",
        "device": "Acme",
        "started": started,
        "options": {"seconds": 2.0},
        "rows": list(rows),
        **changes,
    }


def test_no_session_gives_no_latency() -> None:
    assert newest_complete([], {"a"}, print) is None
    assert newest_complete([session(row("b", 1.0))], {"a"}, print) is None


def test_the_session_with_more_strategies_wins_over_the_newer() -> None:
    full = session(row("a", 1.0), row("b", 2.0), started="2026-01-01")
    newer = session(row("a", 9.0), started="2026-02-01")
    found = newest_complete([full, newer], {"a", "b"}, print)
    assert found is not None
    assert found.median_ms("a", "end_to_end", 1) == 1.0


def test_of_equals_the_newest_wins() -> None:
    found = newest_complete([session(row("a", 1.0)), session(row("a", 9.0), started="2026-02-01")], {"a"}, print)
    assert found is not None
    assert found.median_ms("a", "end_to_end", 1) == 9.0


def test_strategies_that_are_not_planned_do_not_count() -> None:
    many = session(*(row(name, 5.0) for name in "xyz"), row("a", 5.0), started="2025-01-01")
    found = newest_complete([many, session(row("a", 1.0))], {"a"}, print)
    assert found is not None
    assert found.median_ms("a", "end_to_end", 1) == 1.0


def test_two_devices_of_a_session_are_never_mixed() -> None:
    rows = [row("a", 1.0), row("b", 1.0), row("a", 0.1, device="cuda")]
    found = newest_complete([session(*rows)], {"a", "b"}, print)
    assert found is not None
    assert {timing.device for timing in found.timings.values()} == {"cpu"}


def test_one_thread_is_shown_where_more_were_timed_too() -> None:
    found = newest_complete([session(row("a", 1.0), row("a", 0.5, threads=8))], {"a"}, print)
    assert found is not None
    assert (found.threads, found.median_ms("a", "end_to_end", 1)) == (1, 1.0)


@pytest.mark.parametrize(
    ("found", "indicative"),
    [
        (session(row("a", 1.0)), False),
        (session(row("a", 1.0, calls=199)), True),
        (session(row("a", 1.0), options={"seconds": 0.2}), True),
    ],
)
def test_short_timings_are_indicative(found: dict[str, Any], indicative: bool) -> None:
    chosen = newest_complete([found], {"a"}, print)
    assert chosen is not None
    assert chosen.indicative is indicative


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"key": "k", "rows": []}, "device"),
        (session(row("a", 1.0) | {"median_ms": "fast"}), "median_ms"),
        (session(row("a", float("nan"))), "finite"),
        (session(row("a", 1.0), options={}), "seconds"),
    ],
)
def test_a_broken_session_is_named_and_another_one_shown(broken: dict[str, Any], word: str) -> None:
    told: list[str] = []
    found = newest_complete([broken, session(row("a", 1.0))], {"a"}, told.append)
    assert found is not None
    assert found.median_ms("a", "end_to_end", 1) == 1.0
    (line,) = told
    assert line.startswith("latency session k: ")
    assert word in line
