"""The row that validation would have picked, and what was lost by it: the score that a reader may expect to get.

    regret = highest test mean - its test mean

The highest of many test means is not that: it is the largest of as many lucky numbers as there are rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusionbench.stats.estimate import Estimate, Scored, estimate


@dataclass(frozen=True)
class Headline:
    """What validation picks among the rows of a table."""

    strategy: str
    estimate: Estimate
    """Of its test score."""
    validation: float
    """Its mean score on validation."""
    highest: str
    """The row with the highest test mean."""
    regret: float
    among: int
    """Rows it was picked from."""


def picked(validation: Mapping[str, float]) -> str:
    """The highest mean on validation; of equal ones the first by name."""
    return min(validation, key=lambda name: (-validation[name], name))


def headline(rows: Mapping[str, Mapping[int, Scored]], validation: Mapping[str, float]) -> Headline | None:
    """Of rows that have test scores, and a mean score on validation; None where none has both.

    Args:
        rows: test scores by strategy and seed.
        validation: means by strategy.
    """
    means = {name: sum(one.score for one in found.values()) / len(found) for name, found in rows.items() if found}
    known = {name: value for name, value in validation.items() if name in means}
    if not known:
        return None
    chosen = picked(known)
    highest = min(known, key=lambda name: (-means[name], name != chosen, name))
    regret = means[highest] - means[chosen]
    return Headline(chosen, estimate(rows[chosen]), known[chosen], highest, regret, len(known))
