"""The axes of the picture: cost on a logarithmic scale with round numbers, the score with room around all intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator

from fusionbench.core.scores import Score

TICKS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
"""Digits at which a decade may be marked, coarse to fine."""
FEWEST_TICKS = 3


def scale_cost(axes: Axes, costs: Sequence[float], *, counts: bool) -> None:
    """Logarithmic, with room for labels beside the outermost points.

    Args:
        axes: whose x axis it is.
        costs: above 0.
        counts: whether they are counts (`20 k`) and not milliseconds (`0.5`).
    """
    room = max(1.15, (max(costs) / min(costs)) ** 0.12)
    low, high = min(costs) / room, max(costs) * room
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(round_numbers(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter() if counts else FuncFormatter(lambda x, _: f"{x:g}"))


def scale_score(axes: Axes, ends: Sequence[float], score: Score) -> None:
    """All ends of intervals and a little room; the better end is up.

    Args:
        axes: whose y axis it is.
        ends: of intervals; what reaches beyond what the score can be is cut off.
        score: what it can be, and which way is better.
    """
    low, high = max(score.least, min(ends)), min(score.most, max(ends))
    least = 0.005 if score.most - score.least <= 1 else 0.01 * max(abs(low), abs(high))  # Of fractions; of any unit.
    room = max(0.08 * (high - low), least)
    bottom, top = low - room, high + room
    axes.set_ylim(*((bottom, top) if score.higher_is_better else (top, bottom)))


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers from low to high, the coarsest set that has at least three; else three between the ends."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in TICKS:
        marks = [digit * 10.0**decade for decade in decades for digit in digits]
        found = [mark for mark in marks if low <= mark <= high]
        if len(found) >= FEWEST_TICKS:
            return found
    middle = math.sqrt(low * high)
    return sorted({float(f"{value:.3g}") for value in (math.sqrt(low * middle), middle, math.sqrt(middle * high))})
