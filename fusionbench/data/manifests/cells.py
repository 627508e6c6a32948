"""Cells of a table as words and numbers, and when nothing stands in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
"""Words that stand for a missing number, in any case; of words and texts nothing but an empty cell is missing."""


def is_missing(cell: Any) -> bool:
    """Whether nothing stands in it: no text but spaces, no value, NaN, or a list without anything.

    >>> [is_missing(cell) for cell in (None, "  ", float("nan"), [], "0", 0, "NA")]
    [True, True, True, True, False, False, False]
    """
    if isinstance(cell, str):
        return not cell or cell.isspace()
    if cell is None or cell != cell:  # NaN alone is not itself.
        return True
    return isinstance(cell, list) and not cell


def present_in(cells: Sequence[Any]) -> NDArray[np.bool_]:
    """Where something stands, (k,).

    >>> present_in(["a", " ", None]).tolist(), present_in([0, None, [1]]).tolist()
    ([True, False, False], [True, False, True])
    """
    try:
        if not any(map(str.isspace, filter(None, cells))):  # Words alone: several times as fast.
            return np.fromiter(map(bool, cells), dtype=bool, count=len(cells))
    except TypeError:
        pass
    return np.fromiter((not is_missing(cell) for cell in cells), dtype=bool, count=len(cells))


def word(cell: Any) -> str:
    """A cell as the name of a category, class, part or group; empty where nothing stands in it.

    >>> word(" a "), word(3), word(3.0), word(True), word(None)
    ('a', '3', '3', 'True', '')
    """
    if isinstance(cell, str):
        return cell.strip()
    if is_missing(cell):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def words_in(cells: Sequence[Any]) -> list[str]:
    """The `word` of each cell."""
    try:
        return list(map(str.strip, cells))
    except TypeError:
        return list(map(word, cells))


def numbers_in(cells: Sequence[Any]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Cells as numbers, (k,), NaN where none stands; and by place what is wrong with others.

    >>> values, wrong = numbers_in(["1", None, "n/a", "2,5", "inf"])
    >>> values.tolist()[0], wrong
    (1.0, {3: "'2,5' is no number", 4: "'inf' is no finite number"})
    """
    wrong: dict[int, str] = {}
    try:
        values = np.array([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
        if not np.isinf(values).any():
            return values, wrong
    except (ValueError, TypeError, OverflowError):
        pass
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        try:
            values[place] = np.nan if cell is None or _stands_for_none(cell) else float(cell)
        except (ValueError, TypeError, OverflowError):
            wrong[place] = f"{_short(cell)} is no number"
        if np.isinf(values[place]):
            wrong[place], values[place] = f"{_short(cell)} is no finite number", np.nan
    return values, wrong


def _stands_for_none(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip().lower() in NO_NUMBER


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
