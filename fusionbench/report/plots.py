"""The picture of a table: the score against what it costs, with intervals and the Pareto front.

Marks differ in shape and fill, not in colour alone, so that it reads in grey too. The same table gives the same bytes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from textwrap import wrap
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fusionbench.plan.names import track_label
from fusionbench.report.axes import scale_cost, scale_score
from fusionbench.report.labels import Box, Spot, place
from fusionbench.report.marks import MANY, Mark, is_named, marks_of, shown_ends
from fusionbench.report.tables import Table, TableRow
from fusionbench.report.titles import title
from fusionbench.stats.pareto import Point, staircase

SIZE_INCHES = (7.2, 4.8)
DPI = 200
BLUE, GREY, ORANGE = "#0072B2", "#6B6B6B", "#D55E00"
"""Of Okabe and Ito's palette, which colour-blind readers tell apart."""
SETTINGS: dict[str, Any] = {"font.size": 9, "pdf.fonttype": 42, "axes.spines.top": False, "axes.spines.right": False}
FORMS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""File formats, with metadata that leave out dates and versions."""
TITLE_LENGTH = 70
"""Characters of a title's line: what SIZE_INCHES has room for."""
LABEL_SIZE, LEADER_FROM = 8, 12
"""In points: the type, and how far a label may be without a line to its point."""


class Picture(Figure):
    """A figure that a notebook shows, whichever backend is chosen there."""

    def _repr_png_(self) -> bytes:
        return _saved(self, "png")


def pictures(table: Table) -> dict[str, bytes]:
    """The picture in each of FORMS; empty if no strategy has both a score and a cost."""
    with _settings():
        figure = _figure_of(table)
        return {form: _saved(figure, form) for form in FORMS} if figure else {}


def figure_of(table: Table) -> Picture | None:
    """The picture as a figure; None if no strategy has both a score and a cost."""
    with _settings():
        return _figure_of(table)


@contextmanager
def _settings() -> Iterator[None]:
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        # A user's strategy may be named in a script that the font lacks: a box in its place is no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        yield


def _figure_of(table: Table) -> Picture | None:
    marks = marks_of(table)
    if not marks:
        return None
    figure = Picture(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    keys = _draw(axes, table, marks)
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # Places the axes, so that labels can be put where nothing is.
    _label(figure, axes, table, marks)
    return figure


def _saved(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=DPI, metadata=FORMS[form])
    return buffer.getvalue()


def _draw(axes: Axes, table: Table, marks: Sequence[Mark]) -> list[Line2D]:
    """Everything but the labels; returns the keys of the legend."""
    scale_cost(axes, [mark.cost for mark in marks], counts=table.latency is None)
    scale_score(axes, shown_ends(marks))
    for mark in marks:
        axes.vlines(mark.cost, *mark.ends, color=_colour(mark.row.front), linewidth=1.1, alpha=0.65, zorder=2)
        axes.plot(mark.cost, mark.score.mean, **_look(_shape(mark.row), mark.row.front), zorder=3)
    name = f"{table.name} (suite {table.suite}, track {track_label(table.track)})"
    few = "" if len(marks) <= MANY else f"\n{len(marks)} strategies; named: the front and single modalities"
    axes.set_title("\n".join(wrap(name, TITLE_LENGTH)) + few, parse_math=False, fontsize=10)
    axes.set_ylabel(f"test {title(table.metric)}", parse_math=False)
    axes.set_xlabel(_cost_label(table), parse_math=False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    keys = list(_point_keys(marks))
    if any(mark.score.half_width for mark in marks):
        keys.append(Line2D([], [], color=GREY, linewidth=1.1, label="95 % interval"))
    return [*keys, *_stairs(axes, table), *_floor(axes, table)]


def _colour(on_front: bool) -> str:
    return BLUE if on_front else GREY


def _look(shape: str, on_front: bool) -> dict[str, Any]:
    colour = _colour(on_front)
    look = {"linestyle": "none", "marker": shape, "markersize": 6.5, "color": colour, "markeredgewidth": 1.3}
    return {**look, "markerfacecolor": colour if on_front else "white"}


def _shape(row: TableRow) -> str:
    return "X" if not row.comparable else "s" if row.uses == "one" else "o"


def _point_keys(marks: Sequence[Mark]) -> Iterator[Line2D]:
    shapes = {(_shape(mark.row), mark.row.front) for mark in marks}
    for shape, words in (("o", "fusion"), ("s", "single modality")):
        for on_front, where in ((True, "on the front"), (False, "behind it")):
            if (shape, on_front) in shapes:
                yield Line2D([], [], **_look(shape, on_front), label=f"{words}, {where}")
    if ("X", False) in shapes:
        yield Line2D([], [], **_look("X", False), label="* some runs did not end well")


def _cost_label(table: Table) -> str:
    if table.latency is None:
        return "fusion parameters (latency not measured)"
    latency = table.latency
    threads = f"{latency.threads} thread{'s' * (latency.threads > 1)}"
    state = "; indicative" if latency.indicative else ""
    return f"end-to-end latency of one sample, median ms\n{latency.device}, {threads}{state}"


def _stairs(axes: Axes, table: Table) -> Iterator[Line2D]:
    """The front as steps; yields its key."""
    stairs = _front_points(table)
    if not stairs:
        return
    costs = [*(point.cost for point in stairs), axes.get_xlim()[1]]
    means = [*(point.mean for point in stairs), stairs[-1].mean]
    look: dict[str, Any] = {"color": BLUE, "linewidth": 1, "linestyle": (0, (4, 2))}
    axes.step(costs, means, where="post", zorder=1, **look)
    yield Line2D([], [], **look, label="Pareto front by the means")


def _front_points(table: Table) -> list[Point]:
    points = (table.point(row) for row in table.rows if row.front)
    return staircase([point for point in points if point and point.cost > 0])


def _floor(axes: Axes, table: Table) -> Iterator[Line2D]:
    """Chance as a line, or in words where it lies far below; yields its key."""
    scores = [row.scores[table.metric] for row in table.rows if row.uses == "none" and table.metric in row.scores]
    if not scores:
        return
    bottom, top = axes.get_ylim()
    value = scores[0].mean
    if value > bottom - 0.3 * (top - bottom):
        axes.set_ylim(min(bottom, value - 0.05 * (top - bottom)), top)
        line = axes.axhline(value, color=ORANGE, linewidth=1, linestyle=":", zorder=1)
        line.set_label(f"chance, {value:.3f}")
        yield line
    else:
        yield Line2D([], [], linestyle="none", label=f"chance, {value:.3f}, lies below")


def _label(figure: Figure, axes: Axes, table: Table, marks: Sequence[Mark]) -> None:
    """Names beside their points; a thin leader where the label had to go further. Lengths are in points."""
    dots = DPI / 72  # Pixels in a point.
    spots: list[Spot] = []
    points: list[Box] = []
    lines = list(_steps(axes, table))
    named = [mark for mark in marks if is_named(mark, len(marks))]
    for mark in named:
        text = figure.text(0, 0, mark.label, fontsize=LABEL_SIZE, parse_math=False)
        extent = text.get_window_extent()
        text.remove()
        x, y = axes.transData.transform((mark.cost, mark.score.mean)) / dots
        spots.append(Spot(x, y, extent.width / dots + 3, extent.height / dots))
    for mark in marks:
        x, y = axes.transData.transform((mark.cost, mark.score.mean)) / dots
        # What has no name of its own is in the way as a line is.
        (points if mark in named else lines).append(Box(x - 4.5, y - 4.5, x + 4.5, y + 4.5))
        low, high = (axes.transData.transform((mark.cost, end))[1] / dots for end in mark.ends)
        lines.append(Box(x - 1, low, x + 1, high))
    for row in table.rows:
        if row.uses == "none" and table.metric in row.scores:
            y = axes.transData.transform((1, row.scores[table.metric].mean))[1] / dots
            lines.append(Box(-math.inf, y - 1, math.inf, y + 1))
    edges = axes.get_window_extent()
    area = Box(*(value / dots for value in (edges.x0 + 4, edges.y0 + 4, edges.x1, edges.y1)))
    for mark, spot, box in zip(named, spots, place(spots, points, lines, area), strict=True):
        _write(axes, mark, spot, box)


def _write(axes: Axes, mark: Mark, spot: Spot, box: Box) -> None:
    label = axes.annotate(
        mark.label,
        (mark.cost, mark.score.mean),
        (box.centre[0] - spot.x, box.centre[1] - spot.y),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=LABEL_SIZE,
        color="black" if mark.row.front else "#444444",
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        if box.distance(spot.x, spot.y) > LEADER_FROM
        else None,
        parse_math=False,
        zorder=4,
    )
    label.set_in_layout(False)


def _steps(axes: Axes, table: Table) -> Iterator[Box]:
    """The steps of the front as thin boxes, in points."""
    corners = [axes.transData.transform((p.cost, p.mean)) * 72 / DPI for p in _front_points(table)]
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield Box(x, y - 1, next_x, y + 1)
        yield Box(next_x - 1, y, next_x + 1, next_y)
    if corners:
        x, y = corners[-1]
        yield Box(x, y - 1, math.inf, y + 1)
