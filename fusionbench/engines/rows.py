"""Runs that belong together: of a seed, of a dataset, of a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from fusionbench.plan.names import slug, track_label
from fusionbench.plan.suite import RunSpec

One = TypeVar("One")


def grouped(runs: Iterable[One], name: Callable[[One], object]) -> list[list[One]]:
    """Runs, or jobs, of one name together, in the order in which names come first."""
    groups: dict[object, list[One]] = {}
    for run in runs:
        groups.setdefault(name(run), []).append(run)
    return list(groups.values())


def rows_of(runs: Iterable[RunSpec]) -> dict[str, RunSpec]:
    """By strategy, the first run of each."""
    return {row_name(first): first for first, *_ in grouped(runs, row_name)}


def row_name(run: RunSpec) -> str:
    """What the run's row is called."""
    return slug("strategy", run.strategy)


def table_name(run: RunSpec) -> tuple[str, str]:
    """Which table a run is in."""
    return slug("dataset", run.dataset), track_label(run.track)
