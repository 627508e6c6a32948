"""Durations as people write them: read from `90s`, `10m`, `1.5h` or `1h30m`, and told in words."""

from __future__ import annotations

import re

from fusionbench.core.errors import UserError, shown

_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII | re.IGNORECASE)
_UNITS = (3600.0, 60.0, 1.0)
LONGEST_S = 366 * 24 * 3600
"""A year: more is a slip of the finger."""


def seconds_of(text: str, where: str) -> float:
    """The seconds that a duration stands for.

    >>> [seconds_of(text, "--for") for text in ("90s", "10m", "1.5h", "1h30m")]
    [90.0, 600.0, 5400.0, 5400.0]

    Args:
        text: hours, minutes and seconds in this order, each once at most.
        where: what it was given to.

    Raises:
        UserError: it is no such duration, nothing, or over a year.
    """
    found = _FORM.fullmatch(text.strip())
    seconds = sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part) if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise UserError(f"{where}: give a duration such as 90s, 10m, 1.5h or 1h30m, got {shown(text)}")
    return seconds


def in_words(seconds: float) -> str:
    """The duration as a sentence has it: two units at most.

    >>> [in_words(seconds) for seconds in (0.4, 42.4, 90, 3599, 5400, 100 * 3600)]
    ['1 s', '42 s', '2 min', '60 min', '1 h 30 min', '100 h']
    """
    if seconds < 89.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes <= 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(seconds / 3600)} h"


def as_option(seconds: float) -> str:
    """A duration that is long enough, as one types it: `26m`.

    >>> [as_option(seconds) for seconds in (42.4, 90, 3599, 5400, 40000)]
    ['43s', '2m', '60m', '1h30m', '11h7m']
    """
    if seconds <= 59:
        return f"{int(seconds) + 1}s"
    minutes = -int(-seconds // 60)
    return f"{minutes}m" if minutes <= 60 else f"{minutes // 60}h{minutes % 60}m".replace("h0m", "h")
