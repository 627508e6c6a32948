"""Learning curves: the validation score after every epoch, mean over seeds with the 95 % interval as a band.

Of many strategies a few are named, in colours, dashes and marks of their own; the others are thin and grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fusionbench.core.scores import lower_is_better
from fusionbench.report.collect import Outcome
from fusionbench.report.figures import COLUMN, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, Look, named_rows, plain_legend
from fusionbench.report.marks import short_label
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed
from fusionbench.stats.estimate import Estimate, Scored, estimate

HEIGHT = 2.9
"""Inches."""
FEWEST = 3
"""Seeds of a band."""
MARKS = 6
"""On each line, about."""
OTHERS = "#BBBBBB"


@dataclass(frozen=True)
class Curve:
    """One strategy's, a point an epoch."""

    row: TableRow
    points: tuple[Estimate, ...]


def curves_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where no run has a curve of two epochs or more."""
    found = list(_curves(table))
    if not found:
        return {}
    rows = named_rows([curve.row for curve in found])
    named = [curve for curve in found if curve.row in rows]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for curve in found:
            if curve not in named:
                axes.plot(*_line(curve), color=OTHERS, linewidth=0.5, zorder=1)
        for curve, look in zip(named, LOOKS, strict=False):
            _draw(axes, curve, look)
        others = len(found) - len(named)
        grid(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {directed(table.metric)}", parse_math=False)
        _limit(axes, named)
        if lower_is_better(table.metric):
            axes.invert_yaxis()  # The better end is up.
        entitle(figure, table, *_said(found, others))
        plain_legend(figure, columns=2)

    return drawn(COLUMN, HEIGHT + 0.14 * ((len(named) + 1) // 2), draw)


def _said(found: Sequence[Curve], others: int) -> Iterator[str]:
    if any(_has_band(curve) for curve in found):
        yield "bands: 95 % intervals over seeds"
    if others:
        yield f"grey: {others} other strateg{'ies' if others > 1 else 'y'}"


def _curves(table: Table) -> Iterator[Curve]:
    """Of all that look at something: what chance does not learn is no curve."""
    name = table.metric.replace("test/", "validation/", 1)
    for row in (row for row in table.rows if row.uses != "none"):
        curves = [curve for outcome in row.outcomes if len(curve := _curve(outcome, name)) > 1]
        if curves:
            # Runs that stopped early end at different epochs: as far as all of them go.
            yield Curve(row, tuple(_mean(values) for values in zip(*curves, strict=False)))


def _mean(values: Sequence[float]) -> Estimate:
    return estimate({seed: Scored(value) for seed, value in enumerate(values)})


def _curve(outcome: Outcome, name: str) -> Sequence[float]:
    return outcome.record.curves.get(name, ()) if outcome.record and outcome.scores else ()


def _draw(axes: Axes, curve: Curve, look: Look) -> None:
    colour, dashes, mark = look
    epochs, means = _line(curve)
    axes.plot(
        epochs,
        means,
        color=colour,
        linestyle=dashes,
        linewidth=1.1,
        marker=mark,
        markersize=3.2,
        markevery=max(1, len(epochs) // MARKS),
        label=short_label(curve.row.title),
        zorder=3,
    )
    if _has_band(curve):
        low, high = ([p.mean + sign * (p.half_width or 0.0) for p in curve.points] for sign in (-1, 1))
        axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)


def _has_band(curve: Curve) -> bool:
    """Of two seeds the interval is nine times as wide as they lie apart: it would cover the picture and say nothing."""
    return curve.points[0].n >= FEWEST and any(point.half_width for point in curve.points)


def _line(curve: Curve) -> tuple[list[int], list[float]]:
    return list(range(1, len(curve.points) + 1)), [point.mean for point in curve.points]


def _limit(axes: Axes, named: Sequence[Curve]) -> None:
    """The named means with a little room, but for the first fifth of the epochs: it would flatten all that follows."""
    means = [point.mean for curve in named for point in curve.points[len(curve.points) // 5 :]]
    room = 0.06 * (max(means) - min(means)) or 0.01
    axes.set_ylim(min(means) - room, max(means) + room)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
