"""What `compare` takes as inputs, for the data set `arrays`: which kind each modality is, and what is refused.

(n,), (n, F) numbers                       a vector
(n, T, F) numbers, with a mask or without  a sequence
a list of (T_i, F) or (T_i,)               a sequence
(n, C, H, W) or (n, H, W, C)               a picture; (n, H, W) too, where `kinds` says image
words                                      a text, cut into subwords; raw where `kinds` says text
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusionbench.api.plain import Array, first_missing, is_pandas, plain
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.data.stored import offsets, pieces_for, vocabulary

KINDS = ("vector", "sequence", "image", "tokens", "text")
CHANNELS = ((1, 3), (2, 4), range(2**31))
"""How many channels pictures have nearly always, at times, and never."""


@dataclass
class Given:
    """Modalities as they are stored."""

    columns: dict[str, str] = field(default_factory=dict)
    """By modality its kind."""
    arrays: dict[str, Array] = field(default_factory=dict)
    """By file name; see data/array_files.py."""
    shapes: dict[str, str] = field(default_factory=dict)
    """By modality, what it was taken for, in words."""
    counts: dict[str, int] = field(default_factory=dict)
    """By modality, how many rows."""


def given(inputs: Any, masks: Mapping[str, Any], kinds: Mapping[str, str]) -> Given:
    """All modalities.

    Args:
        inputs: by name, rows first.
        masks: by name of a sequence (n, T, F), which steps are real, (n, T).
        kinds: by name, what it is, where that cannot be seen.

    Raises:
        UserError: something that no model can be trained on, in one line that names it.
    """
    if not isinstance(inputs, Mapping) or not all(isinstance(name, str) for name in inputs):
        example = "{'image': x, 'text': y}"
        raise UserError(f"inputs: give a dict of modalities by name, such as {example}, got {type(inputs).__name__}")
    if len(inputs) < 2:
        raise UserError(f"inputs: {len(inputs)} modalities; to be fused there must be at least 2")
    for what, names in (("masks", masks), ("kinds", kinds)):
        for name in names:
            if name not in inputs:
                raise unknown("modality", name, inputs, what)
    _refuse_other_index(inputs)
    found = Given()
    for name, value in inputs.items():
        if name == "targets" or "." in name or "/" in name or not name:
            raise UserError(f"inputs: a modality cannot be named {shown(name)}; rename it")
        kind = kinds.get(name, "")
        if kind and kind not in KINDS:
            raise unknown(f"kind of modality '{name}' called", kind, KINDS, "kinds")
        _add(found, name, plain(f"'{name}'", value), masks.get(name), kind)
    return found


def _refuse_other_index(inputs: Mapping[str, Any]) -> None:
    """Rows are matched by their place: two tables of pandas whose indexes differ would be matched wrongly."""
    tables = {name: value for name, value in inputs.items() if is_pandas(value) and hasattr(value, "index")}
    for name, value in tables.items():
        first = next(iter(tables))
        if len(value) == len(tables[first]) and not value.index.equals(tables[first].index):
            raise UserError(f"'{first}' and '{name}' have different indexes; give both the same rows in the same order")


def _add(found: Given, name: str, values: Array | list[Any], mask: Any, kind: str) -> None:
    is_words = isinstance(values, list) and any(isinstance(row, str) for row in values)
    is_words = is_words or (isinstance(values, np.ndarray) and values.dtype.kind == "U")
    if is_words or kind in ("tokens", "text"):
        _add_text(found, name, list(values), kind or "tokens")
    elif isinstance(values, list):
        _add_steps(found, name, [_steps(name, row, step) for row, step in enumerate(values)])
    else:
        _add_numbers(found, name, values, mask, kind)
    if mask is not None and found.columns[name] != "sequence":
        raise UserError(f"masks: '{name}' is no sequence (n, T, F), which alone has steps to mask")


def _add_numbers(found: Given, name: str, values: Array, mask: Any, kind: str) -> None:
    if values.dtype.kind not in "biuf":
        raise UserError(f"'{name}' is of type {values.dtype}; give numbers, or words as a list of str")
    if not values.size:
        raise UserError(f"'{name}' has the shape {values.shape}: there is nothing in it")
    values = values.astype(np.uint8) if values.dtype == bool else values
    values = values.astype(np.float64) if values.dtype.itemsize > 8 else values
    kind = kind or {1: "vector", 2: "vector", 3: "sequence", 4: "image"}.get(values.ndim, "")
    shape = values.shape
    if kind == "vector" and values.ndim <= 2:
        values = values.reshape(len(values), -1)
    elif kind == "image" and values.ndim in (3, 4):
        values = _channels_first(name, values[:, None] if values.ndim == 3 else values)
    elif kind == "sequence" and values.ndim in (2, 3):
        _add_sequence(found, name, values.reshape(*shape[:2], -1), mask)
        return
    else:
        raise UserError(
            f"'{name}' has the shape {shape}: no {kind or 'modality'} has that; kinds={{...}} says what it is"
        )
    _refuse_not_finite(name, values)
    found.columns[name], found.arrays[name], found.counts[name] = kind, values, len(values)
    found.shapes[name] = f"{kind} {values.shape[1:]}"


def _channels_first(name: str, values: Array) -> Array:
    """(n, C, H, W) of either order."""
    first, last = (next(i for i, sizes in enumerate(CHANNELS) if values.shape[axis] in sizes) for axis in (1, 3))
    if first == last:
        raise UserError(
            f"'{name}' has the shape {values.shape}: which axis is the channels? "
            "Make it (n, C, H, W) with 1 to 4 channels and more pixels, or flatten it to a vector"
        )
    return values if first < last else np.moveaxis(values, 3, 1)


def _add_sequence(found: Given, name: str, values: Array, mask: Any) -> None:
    """(n, T, F) and which steps are real: those are kept, one row after the other."""
    n, steps = values.shape[:2]
    real = np.ones((n, steps), dtype=bool) if mask is None else np.asarray(plain(f"masks: '{name}'", mask))
    if real.shape != (n, steps):
        raise UserError(f"masks: '{name}' has the shape {real.shape}, its values {values.shape}; give ({n}, {steps})")
    if not np.isin(real, (0, 1)).all():
        raise UserError(f"masks: '{name}' holds other values than true and false")
    real = real.astype(bool)
    if not real.any(1).all():
        raise UserError(f"masks: row {int(np.argmin(real.any(1)))} of '{name}' has no real step; leave the row out")
    _add_steps(found, name, [row[kept] for row, kept in zip(values, real, strict=True)])


def _steps(name: str, row: int, value: Any) -> Array:
    """One row of a list as (T, F)."""
    if value is None:
        raise UserError(f"'{name}' of row {row} is missing; leave the row out")
    try:
        found = np.asarray(value)
    except ValueError:
        found = np.zeros(0, dtype=object)
    if found.dtype.kind not in "biuf" or found.ndim not in (1, 2):
        shape = f"{found.dtype} {found.shape}"
        raise UserError(
            f"'{name}' of row {row} is {shape}; where rows differ in length give steps (T, F) of numbers each"
        )
    if not found.size:
        raise UserError(f"'{name}' of row {row} has no step; leave the row out")
    return found.reshape(len(found), -1)


def _add_steps(found: Given, name: str, rows: list[Array]) -> None:
    widths = {row.shape[1] for row in rows}
    if len(widths) > 1:
        odd = next(place for place, row in enumerate(rows) if row.shape[1] != rows[0].shape[1])
        raise UserError(
            f"'{name}': steps of row 0 have {rows[0].shape[1]} numbers, those of row {odd} {rows[odd].shape[1]}"
        )
    for place, row in enumerate(rows):
        if not np.isfinite(row).all():
            raise _not_finite(name, place)
    found.columns[name], found.counts[name] = "sequence", len(rows)
    found.arrays[name] = np.concatenate(rows)
    found.arrays[offsets(name)] = np.cumsum([0, *map(len, rows)])
    lengths = sorted({len(row) for row in rows})
    ends = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
    found.shapes[name] = f"sequence of {ends} steps of {widths.pop()}"


def _add_text(found: Given, name: str, rows: list[Any], kind: str) -> None:
    for place, row in enumerate(rows):
        if first_missing([row]) is not None:
            raise UserError(
                f"'{name}' of row {place} is missing; leave the row out, or give a word for what is missing"
            )
        if not isinstance(row, str):
            raise UserError(f"'{name}' of row {place} is {shown(row)}, no text as the others are")
        if not row.strip():
            raise UserError(f"'{name}' of row {place} is an empty text; leave the row out, or give a word for it")
    try:
        texts = [row.encode() for row in rows]
    except UnicodeEncodeError as error:
        place = next(place for place, row in enumerate(rows) if row == error.object)
        raise UserError(f"'{name}' of row {place} holds {error.object[error.start]!r}, half a character") from error
    found.columns[name], found.counts[name] = kind, len(rows)
    found.arrays[name] = np.frombuffer(b"".join(texts), dtype=np.uint8)
    found.arrays[offsets(name)] = np.cumsum([0, *map(len, texts)])
    if kind == "tokens":
        pieces = pieces_for(len(set().union(*rows)), len(found.arrays[name]))
        found.arrays[vocabulary(name)] = np.array([pieces])
    found.shapes[name] = (
        "text" if kind == "text" else f"text as subwords, at most {int(found.arrays[vocabulary(name)][0])} of them"
    )


def _refuse_not_finite(name: str, values: Array) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values.sum(dtype=np.float64)):
        wrong = ~np.isfinite(values).reshape(len(values), -1).all(1)
        if wrong.any():
            raise _not_finite(name, int(np.argmax(wrong)))


def _not_finite(name: str, row: int) -> UserError:
    return UserError(f"'{name}' of row {row} is NaN or infinite; put a number there, or leave the row out")
