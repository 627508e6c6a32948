"""The errors that a user is meant to read: each says what, where and the way out, in one or two lines."""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from fusionbench.core.output import printable

MOST_KNOWN = 1500
"""Characters of names that are told; a table may have thousands of columns."""


class UserError(Exception):
    """Wrong use or bad data: printed without a traceback, exit code 2."""


class Diverged(Exception):
    """Training left the finite numbers: the run ends with a record of status "diverged"."""


class Interrupted(Exception):
    """The process that asked for the work is gone or wants it stopped: no record is written."""


def unknown(what: str, name: str, known: Iterable[str], where: str = "") -> UserError:
    """The error for a name that is not there, with the nearest right one and all known ones."""
    names = sorted(known)
    at = f"{where}: " if where else ""
    listed = printable(", ".join(names))
    cut = f"{listed[:MOST_KNOWN]}, ..." if len(listed) > MOST_KNOWN else listed
    return UserError(f"{at}no {what} {shown(name)}{nearest(name, names) or '.'} Known: {cut or 'none'}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'gated'?`, or nothing where no known name is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{printable(near[0])}'?" if near else ""


def shown(value: object) -> str:
    """The value as an error shows it: on one line, and cut where it is long.

    >>> shown("gatd"), len(shown("x" * 10_000)) < 100
    ("'gatd'", True)
    """
    return "nothing" if value is None else _SHORT.repr(value)


def reason_of(error: Exception) -> str:
    """One line: the exception, and the last place of it that is not in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or list(frames)
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
