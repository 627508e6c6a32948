"""The errors that a user is meant to read: each says what, where and the way out, in one or two lines."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Wrong use or bad data: printed without a traceback, exit code 2."""


class Diverged(Exception):
    """Training left the finite numbers: the run ends with a record of status "diverged"."""


class Interrupted(Exception):
    """The process that asked for the work is gone or wants it stopped: no record is written."""


def unknown(what: str, name: str, known: Iterable[str], where: str = "") -> UserError:
    """The error for a name that is not there, with the nearest right one and all known ones."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    at = f"{where}: " if where else ""
    return UserError(f"{at}no {what} '{name}'{hint} Known: {', '.join(names) or 'none'}")
