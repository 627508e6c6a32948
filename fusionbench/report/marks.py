"""What a picture of a table shows: a mark for each strategy, which of them are named, and how far the axis reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusionbench.core.scores import Score, good
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.pareto import staircase
from fusionbench.stats.references import Against

LONGEST_LABEL = 26
"""Characters."""
MANY = 24
"""Of more strategies than these, only the front and single modalities are named: more names hide the points."""

NAMED = 7
"""Lines: as many as there are colours."""
TICKS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
"""Digits at which a decade may be marked, coarse to fine."""
FEWEST_TICKS = 3
METHODS = {"tukey": "seed-blocked Tukey", "holm": "paired t tests, Holm"}
"""What a family's pairs are tested by, in words."""


@dataclass(frozen=True)
class Mark:
    """One strategy in the picture."""

    label: str
    cost: float
    score: Estimate
    row: TableRow

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of the score."""
        half = self.score.half_width or 0.0
        return self.score.mean - half, self.score.mean + half


def marks_of(table: Table) -> list[Mark]:
    """The strategies that have both a score and a cost; none where the table weighs the score against nothing."""
    return [] if table.cost is None else [mark for row in table.rows if (mark := _mark(table, row))]


def shown_ends(marks: Sequence[Mark]) -> list[float]:
    """What the axis of scores has to hold: all intervals; of many strategies no farther than half the means' range."""
    ends = [end for mark in marks for end in mark.ends]
    means = [mark.score.mean for mark in marks]
    low, high = min(means), max(means)
    beyond = (high - low) / 2 if len(marks) > MANY and high > low else math.inf
    return [min(max(end, low - beyond), high + beyond) for end in ends]


def score_range(ends: Sequence[float], score: Score) -> tuple[float, float]:
    """All ends of intervals and a little room; what reaches beyond what the score can be is cut off."""
    low, high = max(score.least, min(ends)), min(score.most, max(ends))
    least = 0.005 if score.most - score.least <= 1 else 0.01 * max(abs(low), abs(high))  # Of fractions; of any unit.
    room = max(0.08 * (high - low), least)
    return low - room, high + room


def cost_range(costs: Sequence[float]) -> tuple[float, float]:
    """All costs, with room for labels beside the outermost points on a logarithmic axis."""
    room = max(1.15, (max(costs) / min(costs)) ** 0.12)
    return min(costs) / room, max(costs) * room


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers from low to high, the coarsest set that has at least three; else three between the ends."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in TICKS:
        marks = [digit * 10.0**decade for decade in decades for digit in digits]
        found = [mark for mark in marks if low <= mark <= high]
        if len(found) >= FEWEST_TICKS:
            return found
    middle = math.sqrt(low * high)
    return sorted({float(f"{value:.3g}") for value in (math.sqrt(low * middle), middle, math.sqrt(middle * high))})


def is_named(mark: Mark, count: int) -> bool:
    """Whether its name stands beside it, where there are so many marks."""
    return count <= MANY or mark.row.front or mark.row.uses == "one"


def short_label(text: str) -> str:
    """A title as a label: long ones lose their middle."""
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}…{text[-half:]}"


def named_rows(rows: Sequence[TableRow]) -> list[TableRow]:
    """All of a few rows; of many the best single modality, `late`, and the best means; in the table's order.

    Args:
        rows: in a table's order, the best first.
    """
    references = [next((row for row in rows if _name(row) == name), None) for name in ("unimodal", "late")]
    wanted = [row for row in references if row] + [row for row in rows if row not in references]
    chosen = wanted[:NAMED]
    return [row for row in rows if row in chosen]


def cost_label(table: Table) -> str:
    """What the cost is, and on what it was taken: two lines where it was measured."""
    if table.latency is None:
        return "fusion parameters (latency not measured)"
    latency = table.latency
    threads = f"{latency.threads} thread{'s' * (latency.threads > 1)}"
    state = "; indicative" if latency.indicative else ""
    return f"end-to-end latency of one sample, median ms\n{latency.device}, {threads}{state}"


def front_points(table: Table) -> list[tuple[float, float]]:
    """Cost and mean of each stair of the front, cheapest first."""
    points = (table.point(row) for row in table.rows if row.front)
    stairs = staircase([point for point in points if point and point.cost > 0])
    return [(point.cost, good(table.metric, point.mean)) for point in stairs]  # Signs that were turned turn back.


def differences_shown(found: Against, rows: Sequence[TableRow]) -> tuple[float, float]:
    """All intervals, but of rows that lie more than three times as far out as three in four of them.

    An interval that is twice as wide as that would flatten all others, so it is cut there.
    """
    known = [one.estimate for row in rows if (one := found.of(row.strategy))]
    far = sorted(abs(one.mean) + (one.half_width or 0.0) for one in known)
    most = 3 * far[(3 * len(far) - 1) // 4 if len(far) > 3 else -1]
    ends = [end for one in known if abs(one.mean) <= most for end in _ends(one.mean, one.half_width or 0.0, 2 * most)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def _ends(mean: float, half: float, most: float) -> tuple[float, float]:
    return max(mean - half, -most), min(mean + half, most)


def _mark(table: Table, row: TableRow) -> Mark | None:
    cost, score = table.cost_of(row), row.scores.get(table.metric)
    # Chance looks at nothing and costs nothing: it is a line, see _floor. A cost of 0 has no place on a log axis.
    if score is None or cost is None or cost[0] <= 0 or row.uses == "none":
        return None
    return Mark(short_label(row.title) + ("" if row.comparable else " *"), cost[0], score, row)


def _name(row: TableRow) -> str:
    return row.outcomes[0].run.strategy.name
