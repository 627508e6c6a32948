"""Standard output that never fails: what an encoding lacks is spelled in ASCII."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

NAME = "fusionbench.spelled"
SPELLED = {
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{BLACK CIRCLE}": "*",
    "\N{MIDDLE DOT}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
}


def spell(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: what an encoding lacks in ASCII, without accents, or as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return SPELLED.get(character) or plain or "?"


def printable(text: str) -> str:
    r"""The text on one line, without what a terminal would take for a command of its own.

    >>> printable("red \x1b[31m\n text")
    'red ?[31m text'
    """
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def never_fail() -> None:
    """Let standard output and error spell what they cannot encode; for streams of Python's own."""
    codecs.register_error(NAME, spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors=NAME)
