"""Typing errors in a text: a character left out, doubled, exchanged with the next, or that of a neighbouring key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Of an English keyboard, each a little to the right of the one above."""


def mistyped(x: NDArray[Any], share: float, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A text with errors in its place, and which bytes are real; it is cut at a character's border if it grows.

    Args:
        x: (T,) bytes of UTF-8, zeros behind them.
        share: of the characters that are typed wrongly, in [0, 1].
        rng: which, and how.
    """
    text = bytes(x[x != 0].astype(np.uint8)).decode("utf-8", errors="ignore")
    typed = "".join(_typed(text, share, rng)).encode()[: len(x)].decode("utf-8", errors="ignore").encode()
    found = np.zeros_like(x)
    found[: len(typed)] = np.frombuffer(typed, dtype=np.uint8)
    return found, np.arange(len(x)) < len(typed)


def _typed(text: str, share: float, rng: np.random.Generator) -> list[str]:
    wrong, ways, keys = (
        rng.random(len(text)) < share,
        rng.integers(4, size=len(text)),
        rng.integers(2**31, size=len(text)),
    )
    found: list[str] = []
    place = 0
    while place < len(text):
        character = text[place]
        way = int(ways[place]) if wrong[place] else -1
        if way == 0 and len(text) > 1:
            pass
        elif way == 1:
            found += [character, character]
        elif way == 2 and place + 1 < len(text):
            found += [text[place + 1], character]
            place += 1
        else:
            found.append(_beside(character, int(keys[place])) if way >= 0 else character)
        place += 1
    return found or list(text[:1])


def _beside(character: str, number: int) -> str:
    """That of a key beside or above or below; the same where it is on none of the rows."""
    for row, letters in enumerate(ROWS):
        at = letters.find(character.lower())
        if at >= 0:
            near = [letters[i] for i in (at - 1, at + 1) if 0 <= i < len(letters)]
            near += [ROWS[r][at] for r in (row - 1, row + 1) if 0 <= r < len(ROWS) and at < len(ROWS[r])]
            found = near[number % len(near)]
            return found.upper() if character.isupper() else found
    return character
