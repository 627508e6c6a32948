"""Reliability: how often answers of a confidence are right, as trained and at the temperature fitted on validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.report.figures import COLUMN, GREY, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, Look, plain_legend
from fusionbench.report.marks import named_rows, short_label
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.measured import number

HEIGHT = 2.7
"""Inches."""
PARTS = {"reliability": "as trained", "reliability_at_temperature": "at the fitted temperature"}
FEWEST = 10
"""Entries of a bin that is drawn: the share of three that are right says nothing."""


def reliability_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where calibration was not measured."""
    rows = [row for row in table.rows if row.measured.get("calibration") and row.uses != "none"]
    if not rows:
        return {}
    named = named_rows(rows)

    def draw(figure: Figure) -> None:
        for axes, (part, words) in zip(figure.subplots(1, 2, sharex=True, sharey=True), PARTS.items(), strict=True):
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=":")
            for row, look in zip(named, LOOKS, strict=False):
                _draw(axes, row, part, look)
            grid(axes)
            axes.set_title(words)
            axes.set_aspect("equal")
            axes.set_xlabel("confidence")
        figure.axes[0].set_ylabel("share that is right")
        entitle(figure, table, "all seeds together; dotted: as sure as right")
        plain_legend(figure, columns=2)

    return drawn(COLUMN, HEIGHT + 0.16 * -(-len(named) // 2), draw)


def _draw(axes: Axes, row: TableRow, part: str, look: Look) -> None:
    colour, dashes, mark = look
    bins: dict[int, tuple[float, float, float]] = {}
    for file in row.measured["calibration"].values():
        for place, (count, sure, right) in _bins(file, part).items():
            before = bins.get(place, (0.0, 0.0, 0.0))
            bins[place] = (before[0] + count, before[1] + count * sure, before[2] + count * right)
    points = [(sure / count, right / count) for _, (count, sure, right) in sorted(bins.items()) if count >= FEWEST]
    x, y = zip(*points, strict=True) if points else ((), ())
    label = short_label(row.title)
    axes.plot(x, y, color=colour, linestyle=dashes, linewidth=1.0, marker=mark, markersize=2.6, label=label)


def _bins(file: Mapping[str, Any], part: str) -> dict[int, tuple[float, float, float]]:
    """By place, how many entries, their mean confidence, and the share that is right; of bins that have some."""
    listed = file.get(part)
    found = {}
    for place in range(len(listed) if isinstance(listed, list) else 0):
        count, sure, right = (number(file, part, place, what) for what in ("count", "confidence", "accuracy"))
        if count and sure is not None and right is not None:
            found[place] = (count, sure, right)
    return found
