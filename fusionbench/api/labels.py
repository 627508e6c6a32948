"""What `compare` takes as targets: classes by number or name, or a matrix of zeros and ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionbench.api.plain import Array, first_missing, is_pandas, plain
from fusionbench.core.errors import UserError, shown, unknown

KINDS = ("multiclass", "multilabel")
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Labels:
    """Targets as they are stored."""

    kind: str
    values: Array
    """int64 (n,) classes from 0 on, or float32 (n, C) of zeros and ones."""
    names: Array
    """(C,) str."""


def labels_of(targets: Any, kind: str | None) -> Labels:
    """The targets.

    Args:
        targets: (n,) words or numbers, one of the classes each; (n, C) zeros and ones, each class true or not.
        kind: multiclass or multilabel, where that cannot be seen: an (n, C) matrix may have a single 1 in each row.

    Raises:
        UserError: a label is missing, all are one class, or they are no classes.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind of task called", kind, KINDS, "kind")
    names = [str(name) for name in targets.columns] if is_pandas(targets) and targets.ndim == 2 else None
    found = plain("targets", targets)
    if isinstance(found, list) or found.ndim == 1:
        if kind == "multilabel":
            raise UserError("targets: for a multilabel task give (n, C), a column of zeros and ones for each class")
        return _classes(found)
    if found.ndim != 2:
        raise UserError(f"targets have the shape {found.shape}; give (n,), a class a row, or (n, C), zeros and ones")
    if found.shape[1] == 1:
        return _classes(found[:, 0])
    return _matrix(found, kind, names)


def _classes(found: Array | list[Any]) -> Labels:
    missing = first_missing(list(found)) if isinstance(found, list) or found.dtype.kind == "f" else None
    if missing is not None:
        raise UserError(f"targets: row {missing} has no label; leave it out")
    if isinstance(found, list) and len({isinstance(one, str) for one in found}) > 1:
        raise UserError("targets: some labels are words and some numbers; make them all one or the other")
    try:
        values = np.asarray(found)
        names, classes = np.unique(values, return_inverse=True)
    except (ValueError, TypeError) as error:
        raise UserError(
            "targets: give a word or a number for each row, or a column of 0 and 1 for each class"
        ) from error
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise UserError(
            f"targets: {shown(float(values[values != np.floor(values)][0]))} is no class; give whole numbers or words"
        )
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        raise UserError(f"targets are {values.dtype} {values.shape}; give a word or a number for each row")
    _refuse_count(len(names), len(values), names[0] if len(names) else None)
    names = names.astype(np.int64) if values.dtype.kind == "f" else names
    return Labels("multiclass", classes.reshape(-1).astype(np.int64), names.astype(str))


def _refuse_count(classes: int, rows: int, only: Any) -> None:
    if classes == 1:
        raise UserError(f"targets: all rows are of one class, {shown(str(only))}; there is nothing to tell apart")
    if classes > MOST_CLASSES:
        raise UserError(f"targets: {classes:,} classes; at most {MOST_CLASSES:,}. Are these numbers of rows?")
    if classes > max(2, rows // 2):
        raise UserError(f"targets: {classes:,} classes in {rows:,} rows; too few rows of each. Are these classes?")


def _matrix(found: Array, kind: str | None, names: list[str] | None) -> Labels:
    rows, count = found.shape
    if count > MOST_CLASSES:
        raise UserError(f"targets: {count:,} columns, one a class; at most {MOST_CLASSES:,}")
    wrong = ~np.isin(found, (0, 1)).all(1) if found.dtype.kind in "biuf" else np.ones(rows, dtype=bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(f"targets: row {row} holds other values than 0 and 1; a column stands for a class")
    shown_names = np.array(names or [str(place) for place in range(count)])
    if kind == "multiclass":
        if (found.sum(1) != 1).any():
            row = int(np.argmax(found.sum(1) != 1))
            raise UserError(
                f"targets: row {row} has {int(found[row].sum())} classes, of a multiclass task each has one"
            )
        used, classes = np.unique(found.argmax(1), return_inverse=True)
        _refuse_count(len(used), rows, shown_names[used[0]])
        return Labels("multiclass", classes.astype(np.int64), shown_names[used])
    if (found.min(0) == found.max(0)).all():
        raise UserError("targets: no class is true of some rows and false of others; there is nothing to tell apart")
    return Labels("multilabel", found.astype(np.float32), shown_names)
