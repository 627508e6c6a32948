"""What a picture of a table shows: a mark for each strategy, which of them are named, and how far the axis reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Estimate

LONGEST_LABEL = 26
"""Characters."""
MANY = 24
"""Of more strategies than these, only the front and single modalities are named: more names hide the points."""


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


def is_named(mark: Mark, count: int) -> bool:
    """Whether its name stands beside it, where there are so many marks."""
    return count <= MANY or mark.row.front or mark.row.uses == "one"


def short_label(text: str) -> str:
    """A title as a label: long ones lose their middle."""
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}…{text[-half:]}"


def _mark(table: Table, row: TableRow) -> Mark | None:
    cost, score = table.cost_of(row), row.scores.get(table.metric)
    # Chance looks at nothing and costs nothing: it is a line, see _floor. A cost of 0 has no place on a log axis.
    if score is None or cost is None or cost[0] <= 0 or row.uses == "none":
        return None
    return Mark(short_label(row.title) + ("" if row.comparable else " *"), cost[0], score, row)
