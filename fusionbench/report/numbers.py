"""Numbers as a reader wants them: as many digits as are known, and no more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Lists and pages write numbers too, and need no scipy.
    from fusionbench.stats.estimate import Estimate

FEWEST, MOST = 2, 5
"""Decimals of a score."""
WITHOUT_INTERVAL = 4
SMALLEST = 0.5 * 10**-MOST
"""A half-width below is written as no number: 0.00000 would say that nothing is uncertain."""
PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def decimals(half_width: float | None, mean: float = 0.0) -> int:
    """So many that the half-width has two significant digits if it starts with 1 or 2, else one: 0.013, 0.005.

    4 where there is none, or so small a one that none of its digits would be seen. Fewer of means from 10 on, which are
    no fractions: 57.58, 152.1, 15213.
    """
    whole = max(0, int(math.log10(abs(mean)))) if mean else 0
    if not half_width or half_width < SMALLEST:
        return max(0, WITHOUT_INTERVAL - whole)
    digits, power = f"{half_width:.1e}".split("e")
    return min(MOST, max(FEWEST - max(0, whole - 1), 0, -int(power) + (digits[0] in "12")))


def score(found: Estimate | None, dash: str = "-") -> str:
    """`0.912 ± 0.013`, `0.9123` where there is no interval that could be seen, a dash where there is nothing."""
    if found is None:
        return dash
    places = decimals(found.half_width, found.mean)
    if not has_interval(found):
        return f"{found.mean:z.{places}f}"
    return f"{found.mean:z.{places}f} ± {found.half_width:.{places}f}"


def difference(found: Estimate) -> str:
    """`+0.013 ± 0.020`: a score with its sign."""
    text = score(found)
    return text if text.startswith("-") else f"+{text}"


def has_interval(found: Estimate) -> bool:
    """Whether there is one that could be seen: not at one seed, nor where all seeds and resamples are equal."""
    return found.half_width is not None and found.half_width >= SMALLEST


def count(value: float | None, dash: str = "-") -> str:
    """`950`, `12.3 k`, `1.20 M`: three significant digits and a prefix of 1000s."""
    if value is None:
        return dash
    if value < 1000:
        return f"{value:.0f}"
    power = min(len(PREFIXES) - 1, int(math.log10(value)) // 3)
    # 999.9 k would be printed as 1000 k.
    if float(f"{value / 1000**power:.3g}") >= 1000 and power < len(PREFIXES) - 1:
        power += 1
    return f"{significant(value / 1000**power)} {PREFIXES[power]}"


def milliseconds(value: float | None, dash: str = "-") -> str:
    """`0.0432`, `1.23`, `123`: three significant digits."""
    return dash if value is None else significant(value)


def significant(value: float, digits: int = 3) -> str:
    """So many significant digits, never with an exponent: `0.0432`, `1.20`, `12345`."""
    if value == 0:
        return "0"
    # Rounded first: 9.996 has three digits as 10.0, not as 10.00.
    rounded = float(f"{value:.{digits}g}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:.{max(0, places)}f}"
