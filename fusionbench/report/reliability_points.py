"""What a reliability diagram shows: how often answers of a confidence are right, all seeds together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.measured import number

PARTS = {"reliability": "as trained", "reliability_at_temperature": "at the fitted temperature"}
"""Of a file of calibration, and in words."""
FEWEST = 10
"""Entries of a bin that is drawn: the share of three that are right says nothing."""


def calibrated_rows(table: Table) -> list[TableRow]:
    """Those that look at something and whose calibration was measured."""
    return [row for row in table.rows if row.measured.get("calibration") and row.uses != "none"]


def points(row: TableRow, part: str) -> list[tuple[float, float]]:
    """Mean confidence and the share that is right, of every bin that has entries enough."""
    bins: dict[int, tuple[float, float, float]] = {}
    for file in row.measured["calibration"].values():
        for place, (count, sure, right) in _bins(file, part).items():
            before = bins.get(place, (0.0, 0.0, 0.0))
            bins[place] = (before[0] + count, before[1] + count * sure, before[2] + count * right)
    return [(sure / count, right / count) for _, (count, sure, right) in sorted(bins.items()) if count >= FEWEST]


def _bins(file: Mapping[str, Any], part: str) -> dict[int, tuple[float, float, float]]:
    """By place, how many entries, their mean confidence, and the share that is right; of bins that have some."""
    listed = file.get(part)
    found = {}
    for place in range(len(listed) if isinstance(listed, list) else 0):
        count, sure, right = (number(file, part, place, what) for what in ("count", "confidence", "accuracy"))
        if count and sure is not None and right is not None:
            found[place] = (count, sure, right)
    return found
