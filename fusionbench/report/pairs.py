"""The pairs of a table's families for machines: differences, what was tested, and how often one beats the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from fusionbench.plan.names import track_label
from fusionbench.report.csvs import text_of
from fusionbench.report.tables import Table
from fusionbench.report.tested import scored
from fusionbench.stats.families import Family
from fusionbench.stats.refusals import NotTestable
from fusionbench.stats.wins import Wins, wins

RNG_SEED = 20_261_126
"""Of signs that are drawn, where there are more than thirteen seeds: the same records, the same bytes."""


def pairs_csv(table: Table) -> str:
    """A line for each pair of each family, the better one first; empty where nothing is tested."""
    tested = [found for found in table.tests.families if found.is_tested]
    return text_of(line for found in tested for line in _lines(table, found)) if tested else ""


def _lines(table: Table, found: Family) -> Iterator[Mapping[str, Any]]:
    won = _wins(table, found)
    for i, j in combinations(range(len(found.strategies)), 2):
        line = {
            "dataset": table.name,
            "track": track_label(table.track),
            "family": found.name,
            "first": found.strategies[i],
            "second": found.strategies[j],
            "difference": float(found.mean[i, j]),
            "half_width": float(found.half_width[i, j]),
            "p": float(found.p[i, j]),
            "differ": bool(found.differ[i, j]),
            "method": found.method,
            "seeds": len(found.seeds),
        }
        yield line | (_won(won, i, j) if won else dict.fromkeys(("wins", "ties", *ODDS), ""))


ODDS = ("p_first_above_second", "p_first_above_second_low", "p_first_above_second_high", "signed_rank_p")


def _won(found: Wins, i: int, j: int) -> dict[str, Any]:
    odds = (found.wins[i, j] / found.n, found.low[i, j], found.high[i, j], found.rank_p[i, j])
    counts = {"wins": int(found.wins[i, j]), "ties": int(found.ties[i, j])}
    return counts | {name: float(value) for name, value in zip(ODDS, odds, strict=True)}


def _wins(table: Table, found: Family) -> Wins | None:
    """None below six seeds, where no rank test could find anything."""
    rows = {row.strategy: scored(row, table.metric) for row in table.rows if row.strategy in found.strategies}
    scores = np.array([[rows[name][seed].score for seed in found.seeds] for name in found.strategies])
    try:
        return wins(scores, np.random.default_rng(RNG_SEED))
    except NotTestable:
        return None
