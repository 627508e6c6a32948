"""Numbers as a reader wants them: as many digits as are known, and no more."""

from __future__ import annotations

import math

from fusionbench.stats.summary import Summary

FEWEST, MOST = 2, 5
"""Decimals of a score."""
WITHOUT_INTERVAL = 4
PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def decimals(half_width: float | None) -> int:
    """So many that the half-width has two significant digits if it starts with 1 or 2, else one: 0.013, 0.005.

    4 where it is zero or there is none.
    """
    if not half_width:
        return WITHOUT_INTERVAL
    digits, power = f"{half_width:.1e}".split("e")
    return min(MOST, max(FEWEST, -int(power) + (digits[0] in "12")))


def score(summary: Summary | None, dash: str = "-") -> str:
    """`0.912 ± 0.013`, `0.9123` at one seed, a dash where there is nothing."""
    if summary is None:
        return dash
    places = decimals(summary.half_width)
    if summary.half_width is None:
        return f"{summary.mean:.{places}f}"
    return f"{summary.mean:.{places}f} ± {summary.half_width:.{places}f}"


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
