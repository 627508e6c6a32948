"""What a picture of robustness shows: the score by severity, for each way in which inputs are spoilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats import robust
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.measured import at, over_seeds

FEWEST = 3
"""Seeds of a band."""


def robust_rows(table: Table) -> list[TableRow]:
    """Those that look at something and whose robustness was measured."""
    return [row for row in table.rows if row.measured.get("robustness") and row.uses != "none"]


def places(table: Table) -> list[robust.Place]:
    """Every way in which inputs were spoilt, in the order of the files."""
    files = [file for row in robust_rows(table) for file in row.measured["robustness"].values()]
    return list(dict.fromkeys(place for file in files for place in robust.places_of(file)))


def points(row: TableRow, place: robust.Place, score: str) -> Sequence[tuple[float, Estimate]]:
    """Severity 0 first; a step that no seed knows is left out."""
    files = row.measured["robustness"]
    severities = next(iter(files.values())).get("severities")
    steps = severities if isinstance(severities, list) else []
    found = [(0.0, at(files, "clean", score))]
    for step, severity in enumerate(steps):
        found.append((float(severity), over_seeds(files, partial(_at, place, score, step))))
    return [(severity, one) for severity, one in found if one is not None]


def _at(place: robust.Place, score: str, step: int, file: Mapping[str, Any]) -> float | None:
    curve = robust.curve(file, place, score)
    return curve[step] if step < len(curve) else None
