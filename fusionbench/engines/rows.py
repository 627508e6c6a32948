"""Runs that belong together: of a seed, of a dataset, of a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec


def grouped(runs: Iterable[RunSpec], name: Callable[[RunSpec], object]) -> list[list[RunSpec]]:
    """Runs of one name together, in the order in which names come first."""
    groups: dict[object, list[RunSpec]] = {}
    for run in runs:
        groups.setdefault(name(run), []).append(run)
    return list(groups.values())


def rows_of(runs: Iterable[RunSpec]) -> dict[str, RunSpec]:
    """By strategy, the first run of each."""
    return {row_name(first): first for first, *_ in grouped(runs, row_name)}


def row_name(run: RunSpec) -> str:
    """What the run's row is called."""
    return slug("strategy", run.strategy)
