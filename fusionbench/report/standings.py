"""Strategies over all data sets of a suite: mean ranks and who is above whom, as description; when more is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fusionbench.core.scores import good
from fusionbench.report.numbers import significant
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Floats
from fusionbench.stats.ranks import critical_difference, ranks, win_matrix
from fusionbench.stats.refusals import NotTestable


@dataclass(frozen=True)
class Standings:
    """Fusion strategies that ended well on every data set."""

    strategies: tuple[str, ...]
    """Best mean rank first."""
    datasets: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    wins: Floats
    """(K, K): on how many data sets the first has the better mean, a tie half."""
    means: Floats
    """(K, D); signs are turned where lower is better."""
    sources: int
    """How many data sets are not the same one with other options."""


def standings(tables: Sequence[Table]) -> Standings | None:
    """Of the tables of one suite and track; None below two data sets or two strategies that all of them have.

    Args:
        tables: one for each data set.
    """
    able = [{row.strategy: row for row in table.rows if _counts(table, row)} for table in tables]
    shared = [name for name in able[0] if all(name in rows for rows in able)] if able else []
    if len(able) < 2 or len(shared) < 2:
        return None
    pairs = list(zip(tables, able, strict=True))
    means = [[good(table.metric, rows[name].scores[table.metric].mean) for table, rows in pairs] for name in shared]
    mean_ranks = ranks(means).mean(1)
    order = sorted(range(len(shared)), key=lambda index: (float(mean_ranks[index]), shared[index]))
    return Standings(
        tuple(shared[index] for index in order),
        tuple(table.name for table in tables),
        tuple(float(mean_ranks[index]) for index in order),
        win_matrix(means)[order][:, order],
        np.array(means)[order],
        len({table.dataset.name for table in tables}),
    )


def sentences(found: Standings) -> Iterator[str]:
    """What mean ranks are, and why no more is said of them, or the difference that they need."""
    yield (
        f"Mean rank: among the {len(found.strategies)} fusion strategies that are done on all {len(found.datasets)} "
        "data sets, by the mean of each; a description."
    )
    try:
        needed = critical_difference(found.means.tolist(), found.sources)
    except NotTestable as error:
        yield f"Ranks are not tested: {error}."
        return
    yield (
        f"Critical difference of mean ranks {significant(needed.difference, 3)} (Nemenyi at .05; Friedman's p over all "
        f"{significant(needed.friedman_p, 2)})."
    )


def _counts(table: Table, row: TableRow) -> bool:
    return row.comparable and row.uses == "all" and table.metric in row.scores
