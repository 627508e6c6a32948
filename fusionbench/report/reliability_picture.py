"""Reliability: how often answers of a confidence are right, as trained and at the temperature fitted on validation."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.report.figures import COLUMN, GREY, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, Look, plain_legend
from fusionbench.report.marks import named_rows, short_label
from fusionbench.report.reliability_points import PARTS, calibrated_rows, points
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table

HEIGHT = 2.7
"""Inches."""


def reliability_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where calibration was not measured."""
    rows = calibrated_rows(table)
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
    found = points(row, part)
    x, y = zip(*found, strict=True) if found else ((), ())
    label = short_label(row.title)
    axes.plot(x, y, color=colour, linestyle=dashes, linewidth=1.0, marker=mark, markersize=2.6, label=label)
