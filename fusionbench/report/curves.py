"""Learning curves: the validation score after every epoch, mean over seeds with the 95 % interval as a band.

Of many strategies a few are named, in colours, dashes and marks of their own; the others are thin and grey. Intervals
that are wider than the whole picture are a number in its title.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fusionbench.core.scores import lower_is_better
from fusionbench.report.curve_points import Curve, curves, named, shown_range, undrawn_half_width
from fusionbench.report.figures import COLUMN, drawn, entitle, grid
from fusionbench.report.lines import LOOKS, Look, plain_legend
from fusionbench.report.marks import short_label
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

HEIGHT = 2.9
"""Inches."""
MARKS = 6
"""On each line, about."""
OTHERS = "#BBBBBB"


def curves_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where no run has a curve of two epochs or more."""
    found = list(curves(table))
    if not found:
        return {}
    chosen = named(found)
    too_wide = undrawn_half_width(chosen)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for curve in found:
            if curve not in chosen:
                axes.plot(*_line(curve), color=OTHERS, linewidth=0.5, zorder=1)
        for curve, look in zip(chosen, LOOKS, strict=False):
            _draw(axes, curve, look, has_band=curve.has_band and too_wide is None)
        others = len(found) - len(chosen)
        grid(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {directed(table.metric)}", parse_math=False)
        _limit(axes, chosen)
        if lower_is_better(table.metric):
            axes.invert_yaxis()  # The better end is up.
        entitle(figure, table, *_said(found, others, too_wide))
        plain_legend(figure, columns=2)

    return drawn(COLUMN, HEIGHT + 0.14 * ((len(chosen) + 1) // 2), draw)


def _said(found: Sequence[Curve], others: int, too_wide: float | None) -> Iterator[str]:
    if too_wide is not None:
        yield f"95 % intervals over seeds, about \u00b1 {too_wide:.2g}, are wider than this picture and not drawn"
    elif any(curve.has_band for curve in found):
        yield "bands: 95 % intervals over seeds"
    if others:
        yield f"grey: {others} other strateg{'ies' if others > 1 else 'y'}"


def _draw(axes: Axes, curve: Curve, look: Look, *, has_band: bool) -> None:
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
    if has_band:
        low, high = ([p.mean + sign * (p.half_width or 0.0) for p in curve.points] for sign in (-1, 1))
        axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)


def _line(curve: Curve) -> tuple[list[int], list[float]]:
    return list(range(1, len(curve.points) + 1)), [point.mean for point in curve.points]


def _limit(axes: Axes, chosen: Sequence[Curve]) -> None:
    axes.set_ylim(*shown_range(chosen))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
