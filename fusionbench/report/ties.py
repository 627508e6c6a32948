"""The sentences that a report page opens with: what is best, what ties with it, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence

from fusionbench.report.numbers import count, milliseconds, score
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import extreme, title
from fusionbench.report.verdict import best
from fusionbench.stats.families import Family

NAMED = 4
"""Of many that tie, the best ones are named."""
DIGITS = 4
"""Means that a reader would not see differ are equal."""


def ties(table: Table) -> str:
    """A sentence for each family that is tested; where none is, what validation picks."""
    found = [_tie(table, one) for one in table.tests.families if one.is_tested]
    return f"{table.title}: {' '.join(found)}" if found else best(table)


def _tie(table: Table, found: Family) -> str:
    rows = {row.strategy: row for row in table.rows}
    first, *others = (rows[name] for name in found.tied)
    means = [round(rows[name].scores[table.metric].mean, DIGITS) for name in found.tied]
    equal = means.count(means[0])
    has = "has" if equal == 1 else f"is one of {equal} with"
    text = (
        f"of the {len(found.strategies)} strategies of family {found.name}, `{first.strategy}` {has} the "
        f"{extreme(table.metric)} test {title(table.metric)}, {score(first.scores[table.metric])}{_at(table, first)}"
    )
    if not others:
        return f"{text}; each other one is told apart from it."
    if len(others) == 1:
        return f"{text}; `{others[0].strategy}` is not told apart from it{_at(table, others[0])}."
    return f"{text}; {_listed(others)} are not told apart from it{_cost(table, found)}."


def _listed(rows: Sequence[TableRow]) -> str:
    names = [f"`{row.strategy}`" for row in rows[:NAMED]]
    more = len(rows) - len(names)
    names += [f"{more} more"] if more else []
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _cost(table: Table, found: Family) -> str:
    """Which of those that tie costs least."""
    costs = {row.strategy: cost for row in table.rows if row.strategy in found.tied and (cost := table.cost_of(row))}
    if table.cost is None or len(costs) < 2:
        return ""
    cheapest = min(costs, key=lambda name: (costs[name][0], name))
    return f", and `{cheapest}` costs least of them, {_words(table, costs[cheapest][0])}"


def _at(table: Table, row: TableRow) -> str:
    cost = table.cost_of(row) if table.cost else None
    return f", at {_words(table, cost[0])}" if cost else ""


def _words(table: Table, cost: float) -> str:
    if table.cost == "latency":
        return f"{milliseconds(cost)} ms a sample"
    return f"{count(cost).strip()} fusion parameters"
