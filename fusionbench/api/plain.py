"""Whatever arrays a user has (NumPy, torch, pandas, lists) as NumPy arrays or lists; none of these is imported for it.

Told apart by what they offer: a program that has a tensor has imported torch itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown

Array = NDArray[Any]


def is_pandas(value: Any) -> bool:
    """Whether it is a series, data frame, index or array of pandas."""
    return type(value).__module__.partition(".")[0] == "pandas"


def plain(where: str, value: Any) -> Array | list[Any]:
    """An array of numbers, bools or words; a list where rows differ in shape, or are objects.

    Args:
        where: how an error calls it.
        value: rows first.

    Raises:
        UserError: it is nothing that has rows.
    """
    if hasattr(value, "detach"):  # A tensor, wherever it lies; NumPy knows no bfloat16.
        value = value.detach().cpu()
        return np.asarray((value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy())
    if is_pandas(value):
        return _of_pandas(where, value)
    if hasattr(value, "toarray"):  # A sparse matrix of scipy.
        return np.asarray(value.toarray())
    if isinstance(value, np.ma.MaskedArray):
        raise UserError(f"{where}: a masked array; give its values, and for a sequence masks={{...}}")
    if isinstance(value, np.ndarray):
        return _of_list(where, value.tolist()) if value.dtype == object else value
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise UserError(f"{where}: give an array, a tensor or a list with a row for each sample, got {shown(value)}")
    return _of_list(where, list(value))


def _of_list(where: str, rows: list[Any]) -> Array | list[Any]:
    """One array where rows are alike; numbers, words or arrays of different lengths stay a list."""
    if any(isinstance(row, str) or row is None for row in rows):
        return rows  # NumPy would make words of numbers among words.
    if any(isinstance(row, Mapping | set) for row in rows):
        raise UserError(f"{where}: row {_first(rows, Mapping | set)} is no array, number or word")
    rows = [row.detach().cpu().numpy() if hasattr(row, "detach") else row for row in rows]
    try:
        found = np.array(rows)
    except ValueError:  # Of different lengths.
        return rows
    return rows if found.dtype == object else found


def _first(rows: list[Any], kind: Any) -> int:
    return next(place for place, row in enumerate(rows) if isinstance(row, kind))


def _of_pandas(where: str, value: Any) -> Array | list[Any]:
    columns = {str(name): value[name] for name in value} if value.ndim == 2 else {where: value}
    for name, column in columns.items():
        if str(column.dtype) == "category" and value.ndim == 2:
            raise UserError(f"{where}: column '{name}' holds categories; pandas.get_dummies makes numbers of them")
    if value.ndim == 2:
        kinds = {name: column.dtype.kind for name, column in columns.items()}
        words = [name for name, kind in kinds.items() if kind not in "biuf"]
        if words:
            way = "give each column of words a modality of its own"
            raise UserError(f"{where}: column '{words[0]}' is of type {columns[words[0]].dtype}, no number; {way}")
        # Missing numbers of pandas' own types become NaN, which is told by its row.
        return np.asarray(value.to_numpy(dtype=float, na_value=np.nan))
    if value.dtype.kind in "biuf" and str(value.dtype) != "category":
        has_own_type = not isinstance(value.dtype, np.dtype)
        return np.asarray(value.to_numpy(dtype=float, na_value=np.nan) if has_own_type else value.to_numpy())
    return _of_list(where, [None if _is_missing(one) else one for one in value])


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT or pandas' NA."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def first_missing(rows: Sequence[Any]) -> int | None:
    """The first row that is None, NaN, or pandas' NA."""
    return next((place for place, row in enumerate(rows) if _is_missing(row)), None)
