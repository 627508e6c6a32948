"""What a picture of costs shows: every cost that was measured, of the strategies that have a score."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from fusionbench.report.counted import MEMORY
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table

Cost = Callable[[Table, TableRow], float | None]


def weighed_rows(table: Table) -> list[TableRow]:
    """Those with a score that means something."""
    return [row for row in table.rows if row.uses != "none" and row.comparable and table.metric in row.scores]


def known_costs(table: Table) -> dict[str, dict[str, float]]:
    """By cost in words and strategy; empty where fewer than two costs are known: the front shows one.

    A cost of 0 is left out: it has no place on a logarithmic axis.
    """
    rows = weighed_rows(table)
    known = {
        title: {row.strategy: value for row in rows if (value := cost(table, row))} for title, cost in COSTS.items()
    }
    found = {title: costs for title, costs in known.items() if len(set(costs.values())) > 1}
    return found if len(found) > 1 else {}


def _size(name: str) -> Cost:
    def cost(_: Table, row: TableRow) -> float | None:
        value = row.size.get(name)
        return float(value) if isinstance(value, int | float) else None

    return cost


def _latency(table: Table, row: TableRow) -> float | None:
    timing = table.latency.timings.get((row.strategy, "end_to_end", 1)) if table.latency else None
    return timing.median_ms if timing else None


def _seconds(_: Table, row: TableRow) -> float | None:
    found = [outcome.record.train_seconds for outcome in row.outcomes if outcome.record and outcome.scores]
    return fmean(found) if found else None


def _memory(_: Table, row: TableRow) -> float | None:
    return row.costs.get(MEMORY)


UNITS = ("latency of one sample, ms", "seconds of training")
"""Costs that are no counts."""
COSTS: dict[str, Cost] = {
    "parameters of the fusion": _size("fusion_parameters"),
    "FLOPs of a sample": _size("flops_per_sample"),
    UNITS[0]: _latency,
    UNITS[1]: _seconds,
    "memory of training, bytes": _memory,
}
