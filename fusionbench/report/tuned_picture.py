"""The picture of the searches: the best validation score that n points may expect to find, a panel for each strategy.

Panels share both axes, so that heights compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fusionbench.report.figures import BLUE, ORANGE, PAGE, SMALL, drawn, grid, write_title
from fusionbench.report.marks import short_label
from fusionbench.report.titles import directed, track_title
from fusionbench.report.tuned_rows import TunedRow, Tuning

PANEL, REST = 1.25, 1.1
"""Inches: of a panel's height, and of what is above and below them."""
COLUMNS = ((12, 4), (30, 5), (math.inf, 6))
"""Up to so many strategies, so many panels in a row."""
LETTERS_AN_INCH = 18
"""Of a panel's title."""


def tuned_picture(found: Tuning) -> dict[str, bytes]:
    """The picture in each form; empty before any search is over."""
    rows = [row for row in found.rows if row.search]
    if not rows:
        return {}
    columns = min(len(rows), next(count for most, count in COLUMNS if len(rows) <= most))
    lines = math.ceil(len(rows) / columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
        for axes, row in zip(panels, rows, strict=False):
            _draw(axes, row, int(PAGE / columns * LETTERS_AN_INCH))
        for axes in panels[len(rows) :]:
            axes.set_visible(False)
        for axes in panels[len(rows) - columns : len(rows)]:
            axes.tick_params(labelbottom=True)  # The lowest of its column, where the last row is not full.
        for axes in panels[(lines - 1) * columns :]:
            axes.set_xlabel("points tried", fontsize=SMALL)
        _label(figure, panels[0], found, rows)

    return drawn(PAGE, lines * PANEL + REST, draw)


def default_validation(row: TunedRow) -> float | None:
    """The default's mean validation score, at the seeds that are evaluated; None where there is none."""
    name = row.metric.replace("test/", "validation/", 1)
    records = [outcome.record for outcome in row.default.outcomes if outcome.scores] if row.default else []
    known = [record.validation[name] for record in records if record and name in record.validation]
    return fmean(known) if known else None


def _draw(axes: Axes, row: TunedRow, letters: int) -> None:
    n = [one.n for one in row.search]
    axes.fill_between(n, [one.low for one in row.search], [one.high for one in row.search], color=BLUE, alpha=0.2, lw=0)
    axes.plot(n, [one.expected for one in row.search], color=BLUE, linewidth=1.2)
    default = default_validation(row)
    if default is not None:
        axes.axhline(default, color=ORANGE, linewidth=1.0, linestyle=":")
    axes.set_title("\n".join(wrap(short_label(row.title), letters)), fontsize=SMALL, parse_math=False)
    grid(axes)


def _label(figure: Figure, axes: Axes, found: Tuning, rows: Sequence[TunedRow]) -> None:
    """Scales, which all panels share, the title and the keys."""
    most = len(rows[0].search)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(most.bit_length())]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    figure.supylabel(f"best validation {directed(found.metric)}", fontsize=SMALL, parse_math=False)
    each = len(found.track.options["trial_seeds"])
    trials = f"; {each} trials a point" if each > 1 else ""
    write_title(figure, found.title, f"suite {found.suite}, {track_title(found.track)}{trials}")
    keys = [Line2D([], [], color=BLUE, linewidth=1.2, label="expected best, ± one standard deviation")]
    if any(default_validation(row) is not None for row in rows):
        keys.append(Line2D([], [], color=ORANGE, linewidth=1.0, linestyle=":", label="default"))
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False)
