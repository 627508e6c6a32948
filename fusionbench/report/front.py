"""The picture of a table: the score against what it costs, with intervals and the Pareto front.

Marks differ in shape and fill, not in colour alone, so that it reads in grey too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fusionbench.core.scores import lower_is_better, score_of
from fusionbench.report.axes import scale_cost, scale_score
from fusionbench.report.figures import (
    BLUE,
    COLUMN,
    GREY,
    ORANGE,
    PAGE,
    SMALL,
    Picture,
    entitle,
    forms_of,
    grid,
    picture,
)
from fusionbench.report.labels import Box, Spot, place
from fusionbench.report.marks import LONGEST_LABEL, MANY, Mark, cost_label, front_points, is_named, marks_of, shown_ends
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT, HEIGHT_OF_MANY = 3.5, 4.8
"""Inches."""
SIDE = 5.0
"""Of a mark, in points."""
LEADER_FROM = 9
"""How far a label may be without a line to its point, in points."""


def front_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty if no strategy has both a score and a cost."""
    figure = figure_of(table)
    return forms_of(figure) if figure else {}


def figure_of(table: Table) -> Picture | None:
    """The picture as a figure, of many strategies as wide as a page; None if none has both a score and a cost."""
    marks = marks_of(table)
    if not marks:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        keys = _draw(axes, table, marks)
        few = [] if len(marks) <= MANY else [f"{len(marks)} strategies; named: the front and single modalities"]
        entitle(figure, table, *few)
        columns = 2 if len(marks) <= MANY else 4
        figure.legend(handles=keys, loc="outside lower center", ncols=columns, frameon=False, columnspacing=1.2)
        figure.draw_without_rendering()  # Places the axes, so that labels can be put where nothing is.
        _label(figure, axes, table, marks)

    return picture(*((COLUMN, HEIGHT) if len(marks) <= MANY else (PAGE, HEIGHT_OF_MANY)), draw)


def _draw(axes: Axes, table: Table, marks: Sequence[Mark]) -> list[Line2D]:
    """Everything but the labels; returns the keys of the legend."""
    scale_cost(axes, [mark.cost for mark in marks], counts=table.latency is None)
    scale_score(axes, shown_ends(marks), score_of(table.metric))
    for mark in marks:
        axes.vlines(mark.cost, *mark.ends, color=_colour(mark.row.front), linewidth=0.9, alpha=0.65, zorder=2)
        axes.plot(mark.cost, mark.score.mean, **_look(_shape(mark.row), mark.row.front), zorder=3)
    reversed_ = "; axis reversed" * lower_is_better(table.metric)  # Upper left is best in every picture.
    axes.set_ylabel(f"test {directed(table.metric)}{reversed_}", parse_math=False)
    axes.set_xlabel(cost_label(table), parse_math=False)
    grid(axes)
    keys = list(_point_keys(marks))
    if any(mark.score.half_width for mark in marks):
        keys.append(Line2D([], [], color=GREY, linewidth=0.9, label="95 % interval"))
    return [*keys, *_stairs(axes, table), *_floor(axes, table)]


def _colour(on_front: bool) -> str:
    return BLUE if on_front else GREY


def _look(shape: str, on_front: bool) -> dict[str, Any]:
    colour = _colour(on_front)
    look = {"linestyle": "none", "marker": shape, "markersize": SIDE, "color": colour, "markeredgewidth": 1.0}
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


def _stairs(axes: Axes, table: Table) -> Iterator[Line2D]:
    """The front as steps; yields its key."""
    stairs = front_points(table)
    if not stairs:
        return
    costs = [*(cost for cost, _ in stairs), axes.get_xlim()[1]]
    means = [*(mean for _, mean in stairs), stairs[-1][1]]
    look: dict[str, Any] = {"color": BLUE, "linewidth": 0.8, "linestyle": (0, (4, 2))}
    axes.step(costs, means, where="post", zorder=1, **look)
    yield Line2D([], [], **look, label="front by the means")


def _floor(axes: Axes, table: Table) -> Iterator[Line2D]:
    """Chance as a line, or in words where it lies far below; yields its key."""
    scores = [row.scores[table.metric] for row in table.rows if row.uses == "none" and table.metric in row.scores]
    if not scores:
        return
    bottom, top = axes.get_ylim()
    value = scores[0].mean
    up, farther = (-1, max) if lower_is_better(table.metric) else (1, min)
    if up * value > up * (bottom - 0.3 * (top - bottom)):
        axes.set_ylim(farther(bottom, value - 0.05 * (top - bottom)), top)
        line = axes.axhline(value, color=ORANGE, linewidth=0.8, linestyle=":", zorder=1)
        line.set_label(f"chance, {value:.3f}")
        yield line
    else:
        yield Line2D([], [], linestyle="none", label=f"chance, {value:.3f}, lies below")


def _label(figure: Figure, axes: Axes, table: Table, marks: Sequence[Mark]) -> None:
    """Names beside their points; a thin leader where the label had to go further. Lengths are in points."""
    named = [mark for mark in marks if is_named(mark, len(marks))]
    groups = list(_together(axes, named))
    spots = [_spot(figure, axes, group) for group in groups]
    own = [_around(axes, group) for group in groups]
    others = [_around(axes, [mark]) for mark in marks if mark not in named]
    lines = [*_steps(axes, table), *_bars(axes, table, marks)]
    dots = figure.dpi / 72
    edges = axes.get_window_extent()
    area = Box(*(value / dots for value in (edges.x0 + 4, edges.y0 + 4, edges.x1, edges.y1)))
    for group, spot, box in zip(groups, spots, place(spots, own, others, lines, area), strict=True):
        _write(axes, group, spot, box)


def _together(axes: Axes, marks: Sequence[Mark]) -> Iterator[list[Mark]]:
    """Marks that lie on one another: they share a label, since no place says which is whose."""
    left = list(marks)
    while left:
        x, y = _at(axes, left[0].cost, left[0].score.mean)
        near = [mark for mark in left if math.dist((x, y), _at(axes, mark.cost, mark.score.mean)) < SIDE * 0.8]
        yield near
        left = [mark for mark in left if mark not in near]


def _words(group: Sequence[Mark]) -> str:
    return "\n".join(wrap(", ".join(mark.label.replace(" ", "\u00a0") for mark in group), LONGEST_LABEL))


def _at(axes: Axes, cost: float, score: float) -> tuple[float, float]:
    """In points from the figure's lower left corner."""
    figure = axes.get_figure(root=True)
    assert figure
    x, y = axes.transData.transform((cost, score)) * 72 / figure.dpi
    return float(x), float(y)


def _spot(figure: Figure, axes: Axes, group: Sequence[Mark]) -> Spot:
    text = figure.text(0, 0, _words(group), fontsize=SMALL, parse_math=False)
    extent = text.get_window_extent()
    text.remove()
    dots = figure.dpi / 72
    return Spot(*_at(axes, group[0].cost, group[0].score.mean), extent.width / dots + 3, extent.height / dots)


def _around(axes: Axes, group: Sequence[Mark]) -> Box:
    xs, ys = zip(*(_at(axes, mark.cost, mark.score.mean) for mark in group), strict=True)
    half = SIDE / 2 + 1
    return Box(min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half)


def _bars(axes: Axes, table: Table, marks: Sequence[Mark]) -> Iterator[Box]:
    """Intervals, and the line of chance, as thin boxes."""
    for mark in marks:
        (x, low), (_, high) = sorted((_at(axes, mark.cost, end) for end in mark.ends), key=lambda at: at[1])
        yield Box(x - 1, low, x + 1, high)
    for row in table.rows:
        if row.uses == "none" and table.metric in row.scores:
            y = _at(axes, marks[0].cost, row.scores[table.metric].mean)[1]
            yield Box(-math.inf, y - 1, math.inf, y + 1)


def _write(axes: Axes, group: Sequence[Mark], spot: Spot, box: Box) -> None:
    # To where the box is nearest, as it was placed: to its middle, a leader would run through neighbours.
    x, y = box.nearest(spot.x, spot.y)
    end = (x - box.left) / (box.right - box.left), (y - box.bottom) / (box.top - box.bottom)
    leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3, "relpos": end}
    label = axes.annotate(
        _words(group),
        (group[0].cost, group[0].score.mean),
        (box.centre[0] - spot.x, box.centre[1] - spot.y),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=SMALL,
        color="black" if any(mark.row.front for mark in group) else "#444444",
        arrowprops=leader if box.distance(spot.x, spot.y) > LEADER_FROM else None,
        parse_math=False,
        zorder=4,
    )
    label.set_in_layout(False)
    label.set_path_effects([withStroke(linewidth=1.5, foreground="white")])  # A line behind it strikes nothing out.


def _steps(axes: Axes, table: Table) -> Iterator[Box]:
    """The steps of the front as thin boxes, in points."""
    corners = [_at(axes, cost, mean) for cost, mean in front_points(table)]
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield Box(x, y - 1, next_x, y + 1)
        yield Box(next_x - 1, y, next_x + 1, next_y)
    if corners:
        x, y = corners[-1]
        yield Box(x, y - 1, math.inf, y + 1)
