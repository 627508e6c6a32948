"""What a picture of learning curves shows: means over seeds by epoch, which are named, and how far the axis goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from fusionbench.report.collect import Outcome
from fusionbench.report.marks import named_rows
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Estimate, Scored, estimate

FEWEST = 3
"""Seeds of a band."""


@dataclass(frozen=True)
class Curve:
    """One strategy's, a point an epoch."""

    row: TableRow
    points: tuple[Estimate, ...]

    @property
    def has_band(self) -> bool:
        """Of two seeds the interval is nine times as wide as they lie apart: it would cover all and say nothing."""
        return self.points[0].n >= FEWEST and any(point.half_width for point in self.points)


def curves(table: Table) -> Iterator[Curve]:
    """Of all that look at something and have two epochs or more: what chance does not learn is no curve."""
    name = table.metric.replace("test/", "validation/", 1)
    for row in (row for row in table.rows if row.uses != "none"):
        found = [curve for outcome in row.outcomes if len(curve := _curve(outcome, name)) > 1]
        if found:
            # Runs that stopped early end at different epochs: as far as all of them go.
            yield Curve(row, tuple(_mean(values) for values in zip(*found, strict=False)))


def named(found: Sequence[Curve]) -> list[Curve]:
    """Those that `named_rows` names."""
    rows = named_rows([curve.row for curve in found])
    return [curve for curve in found if curve.row in rows]


def shown_range(found: Sequence[Curve]) -> tuple[float, float]:
    """The means with a little room, but for the first fifth of the epochs: it would flatten all that follows.

    Args:
        found: those that are named.
    """
    means = [point.mean for point in _after_the_first(found)]
    room = 0.06 * (max(means) - min(means)) or 0.01
    return min(means) - room, max(means) + room


def undrawn_half_width(found: Sequence[Curve]) -> float | None:
    """The median half width, in the score's unit, where such bands are higher than the range that is shown; else None.

    They would colour all of the picture, and say nothing but what this number says.

    Args:
        found: those that are named.
    """
    halves = [point.half_width or 0.0 for point in _after_the_first([one for one in found if one.has_band])]
    low, high = shown_range(found)
    return median(halves) if halves and 2 * median(halves) > high - low else None


def _after_the_first(found: Sequence[Curve]) -> Iterator[Estimate]:
    """All points but for those of the first fifth of the epochs."""
    for curve in found:
        yield from curve.points[len(curve.points) // 5 :]


def _mean(values: Sequence[float]) -> Estimate:
    return estimate({seed: Scored(value) for seed, value in enumerate(values)})


def _curve(outcome: Outcome, name: str) -> Sequence[float]:
    return outcome.record.curves.get(name, ()) if outcome.record and outcome.scores else ()
