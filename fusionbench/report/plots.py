"""The picture of a table: the score against what it costs, with intervals and the Pareto front.

Marks differ in shape and fill, not in colour alone, so that it reads in grey too. The same table gives the same bytes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fusionbench.report.captions import title
from fusionbench.report.labels import Box, Spot, place
from fusionbench.report.numbers import count
from fusionbench.report.tables import Table, TableRow
from fusionbench.stats.pareto import staircase
from fusionbench.stats.summary import Summary

SIZE_INCHES = (7.2, 4.8)
DPI = 200
BLUE, GREY, ORANGE = "#0072B2", "#6B6B6B", "#D55E00"
"""Of Okabe and Ito's palette, which colour-blind readers tell apart."""
SETTINGS: dict[str, Any] = {"font.size": 9, "pdf.fonttype": 42, "axes.spines.top": False, "axes.spines.right": False}
NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
TICKS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
LONGEST_LABEL = 34


@dataclass(frozen=True)
class Mark:
    """One strategy in the picture."""

    label: str
    cost: float
    score: Summary
    row: TableRow

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of the score."""
        half = self.score.half_width or 0.0
        return self.score.mean - half, self.score.mean + half


def picture(table: Table, form: str) -> bytes | None:
    """The picture as "png" or "pdf"; None if no strategy has both a score and a cost."""
    marks = [mark for row in table.rows if (mark := _mark(table, row))]
    if not marks:
        return None
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        # A user's strategy may be named in a script that the font lacks: a box in its place is no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw(axes, table, marks)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
        figure.draw_without_rendering()  # Places the axes, so that labels can be put where nothing is.
        _label(axes, table, marks)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=DPI, metadata=NO_DATES[form])
    return buffer.getvalue()


def short_label(strategy: str) -> str:
    """A slug as a label: `unimodal (left)` for `unimodal+modality=left`; long ones lose their middle."""
    name, *options = strategy.split("+")
    values = [option.removeprefix("modality=") for option in options]
    text = f"{name} ({', '.join(values)})" if values else name
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}…{text[-half:]}"


def _mark(table: Table, row: TableRow) -> Mark | None:
    cost, score = table.cost_of(row), row.scores.get(table.metric)
    # Chance looks at nothing and costs nothing: it is a line, see _floor. A cost of 0 has no place on a log axis.
    if score is None or cost is None or cost[0] <= 0 or row.uses == "none":
        return None
    return Mark(short_label(row.strategy) + ("" if row.comparable else " *"), cost[0], score, row)


def _draw(axes: Axes, table: Table, marks: Sequence[Mark]) -> None:
    _limits(axes, table, marks)
    _stairs(axes, table)
    for mark in marks:
        colour = BLUE if mark.row.front else GREY
        axes.vlines(mark.cost, *mark.ends, color=colour, linewidth=1.1, alpha=0.65, zorder=2)
        axes.plot(
            mark.cost,
            mark.score.mean,
            linestyle="none",
            marker=_shape(mark.row),
            markersize=6.5,
            color=colour,
            markerfacecolor=colour if mark.row.front else "white",
            markeredgewidth=1.3,
            zorder=3,
        )
    _floor(axes, table)
    for row_label, shape, fill in _legend(marks):
        axes.plot([], [], linestyle="none", marker=shape, color=BLUE if fill else GREY,
                  markerfacecolor=BLUE if fill else "white", label=row_label)  # fmt: skip
    if any(mark.score.half_width for mark in marks):
        axes.plot([], [], color=GREY, linewidth=1.1, label="95 % t interval over seeds")
    axes.set_title(f"{table.name} (suite {table.suite}, track {table.track.name})", parse_math=False, fontsize=10)
    axes.set_ylabel(f"test {title(table.metric)}", parse_math=False)
    axes.set_xlabel(_cost_label(table), parse_math=False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def _shape(row: TableRow) -> str:
    return "X" if not row.comparable else "s" if row.uses == "one" else "o"


def _legend(marks: Sequence[Mark]) -> Iterator[tuple[str, str, bool]]:
    shapes = {(_shape(mark.row), mark.row.front) for mark in marks}
    for shape, words in (("o", "fusion"), ("s", "single modality")):
        for on_front, where in ((True, "on the front"), (False, "behind it")):
            if (shape, on_front) in shapes:
                yield f"{words}, {where}", shape, on_front
    if ("X", False) in shapes:
        yield "* some runs did not end well", "X", False


def _cost_label(table: Table) -> str:
    if table.latency is None:
        return "fusion parameters (latency not measured)"
    latency = table.latency
    threads = f"{latency.threads} thread{'s' * (latency.threads > 1)}"
    state = "; indicative" if latency.indicative else ""
    return f"end-to-end latency of one sample, median ms\n{latency.device}, {threads}{state}"


def _limits(axes: Axes, table: Table, marks: Sequence[Mark]) -> None:
    axes.set_xscale("log")
    low, high = min(mark.cost for mark in marks), max(mark.cost for mark in marks)
    room = max(1.15, (high / low) ** 0.12)  # For labels beside the outermost points.
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / room, high * room)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count(x) if table.latency is None else f"{x:g}"))
    bottom = min(mark.ends[0] for mark in marks)
    top = max(mark.ends[1] for mark in marks)
    room = max(0.08 * (top - bottom), 0.005)
    axes.set_ylim(bottom - room, top + room)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the two, the coarsest set that has at least three; else the ends."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in TICKS:
        found = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(found) >= 3:
            return found
    return [float(f"{value:.2g}") for value in (low, math.sqrt(low * high), high)]


def _stairs(axes: Axes, table: Table) -> None:
    stairs = staircase([point for row in table.rows if row.front and (point := table.point(row)) and point.cost > 0])
    if not stairs:
        return
    right = axes.get_xlim()[1]
    costs, means = [point.cost for point in stairs] + [right], [point.mean for point in stairs]
    axes.step(costs, [*means, means[-1]], where="post", color=BLUE, linewidth=1, linestyle=(0, (4, 2)), zorder=1,
              label="Pareto front by the means")  # fmt: skip


def _floor(axes: Axes, table: Table) -> None:
    """Chance as a line, or a word at the lower edge where it lies far below."""
    scores = [row.scores[table.metric] for row in table.rows if row.uses == "none" and table.metric in row.scores]
    if not scores:
        return
    bottom, top = axes.get_ylim()
    value = scores[0].mean
    if value > bottom - 0.3 * (top - bottom):
        axes.set_ylim(min(bottom, value - 0.05 * (top - bottom)), top)
        axes.axhline(value, color=ORANGE, linewidth=1, linestyle=":", zorder=1, label=f"chance, {value:.3f}")
    else:
        axes.plot(
            [], [], linestyle="none", marker=r"$\downarrow$", color=ORANGE, label=f"chance, {value:.3f}, is below"
        )


def _label(axes: Axes, table: Table, marks: Sequence[Mark]) -> None:
    """Names beside their points; a thin leader where the label had to go further."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [axes.annotate(mark.label, (0, 0), fontsize=8, parse_math=False) for mark in marks]
    unit = DPI / 72  # Pixels in a point.
    pixel = axes.transData.transform
    spots, points, lines = [], [], list(_lines(axes, table))
    for mark, text in zip(marks, texts, strict=True):
        extent = text.get_window_extent(renderer)
        text.remove()
        x, y = (value / unit for value in pixel((mark.cost, mark.score.mean)))
        spots.append(Spot(x, y, extent.width / unit + 2, extent.height / unit))
        points.append(Box(x - 4.5, y - 4.5, x + 4.5, y + 4.5))
        low, high = (pixel((mark.cost, end))[1] / unit for end in mark.ends)
        lines.append(Box(x - 1, low, x + 1, high))
    area = axes.get_window_extent(renderer)
    whole = Box(*(value / unit for value in (area.x0, area.y0, area.x1, area.y1)))
    for mark, spot, box in zip(marks, spots, place(spots, points, lines, whole), strict=True):
        centre = ((box.left + box.right) / 2 - spot.x, (box.bottom + box.top) / 2 - spot.y)
        near_x, near_y = box.nearest(spot.x, spot.y)
        far = math.hypot(near_x - spot.x, near_y - spot.y) > 12
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4} if far else None
        label = axes.annotate(mark.label, (mark.cost, mark.score.mean), centre, textcoords="offset points", ha="center",
                              va="center", fontsize=8, color="black" if mark.row.front else "#444444",
                              arrowprops=leader, parse_math=False, zorder=4)  # fmt: skip
        label.set_in_layout(False)


def _lines(axes: Axes, table: Table) -> Iterator[Box]:
    """The steps of the front as thin boxes, in points."""
    unit = DPI / 72
    stairs = staircase([point for row in table.rows if row.front and (point := table.point(row)) and point.cost > 0])
    corners = [axes.transData.transform((point.cost, point.mean)) / unit for point in stairs]
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield Box(x, y - 1, next_x, y + 1)
        yield Box(next_x - 1, y, next_x + 1, next_y)
    if corners:
        yield Box(corners[-1][0], corners[-1][1] - 1, float("inf"), corners[-1][1] + 1)
