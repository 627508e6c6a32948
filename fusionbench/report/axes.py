"""The axes of the picture: cost on a logarithmic scale with round numbers, the score with room around all intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator

from fusionbench.core.scores import Score
from fusionbench.report.marks import cost_range, round_numbers, score_range


def scale_cost(axes: Axes, costs: Sequence[float], *, counts: bool, most: int = 9) -> None:
    """Logarithmic, with room for labels beside the outermost points.

    Args:
        axes: whose x axis it is.
        costs: above 0.
        counts: whether they are counts (`20 k`) and not milliseconds (`0.5`).
        most: so many numbers have room beside each other; of more, only every second or third is there.
    """
    low, high = cost_range(costs)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    marks = round_numbers(low, high)
    axes.xaxis.set_major_locator(FixedLocator(marks[:: -(-len(marks) // most)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter() if counts else FuncFormatter(lambda x, _: f"{x:g}"))


def scale_score(axes: Axes, ends: Sequence[float], score: Score) -> None:
    """All ends of intervals and a little room; the better end is up.

    Args:
        axes: whose y axis it is.
        ends: of intervals; what reaches beyond what the score can be is cut off.
        score: what it can be, and which way is better.
    """
    bottom, top = score_range(ends, score)
    axes.set_ylim(*((bottom, top) if score.higher_is_better else (top, bottom)))
