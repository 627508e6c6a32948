"""What `compare` takes as targets: classes by number or name, a matrix of zeros and ones, or numbers to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from fusionbench.api.plain import Array, first_missing, is_pandas, plain
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.task import TaskKind

MOST_CLASSES = 100_000
FORMS = "give (n,), a class or a number for each row, or (n, C), zeros and ones for C classes or C numbers"


@dataclass(frozen=True)
class Labels:
    """Targets as they are stored."""

    kind: TaskKind
    values: Array
    """int64 (n,) classes from 0 on, float32 (n, C) of zeros and ones, or float64 (n, C) of numbers to predict."""
    names: Array
    """(C,) str."""


def labels_of(targets: Any, kind: str | None) -> Labels:
    """The targets.

    Args:
        targets: (n,) words or whole numbers, a class each; (n, C) zeros and ones, each class true or not; (n,) or
            (n, C) other numbers, to be predicted.
        kind: multiclass, multilabel or regression, where that cannot be seen: whole numbers may be an amount, and an
            (n, C) matrix may have a single 1 in each row.

    Raises:
        UserError: a label is missing, all are one class or one number, or they are no classes.
    """
    if kind is not None and kind not in get_args(TaskKind):
        raise unknown("kind of task called", kind, get_args(TaskKind), "kind")
    names = [str(name) for name in targets.columns] if is_pandas(targets) and targets.ndim == 2 else None
    found = plain("targets", targets)
    missing = (
        first_missing(list(found)) if isinstance(found, list) or (found.dtype.kind == "f" and found.ndim == 1) else None
    )
    if missing is not None:
        raise UserError(f"targets: row {missing} has no label; leave it out")
    if isinstance(found, list):
        found = _of_words(found)
    found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if found.ndim not in (1, 2) or found.dtype.kind not in "biufU" or (found.ndim == 2 and found.dtype.kind == "U"):
        raise UserError(f"targets are {found.dtype} {found.shape}; {FORMS}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found.reshape(len(found), -1)).all(1)))
        raise UserError(f"targets: row {row} is NaN or infinite; leave it out")
    match kind or _seen(found):
        case "multiclass":
            return _one_hot(found, names) if found.ndim == 2 else _classes(found)
        case "multilabel":
            return _matrix(found, names)
        case _:
            return _numbers(found, names)


def _of_words(found: list[Any]) -> Array:
    if len({isinstance(one, str) for one in found}) > 1:
        raise UserError("targets: some labels are words and some numbers; make them all one or the other")
    try:
        return np.asarray(found)
    except (ValueError, TypeError) as error:
        raise UserError(f"targets: {FORMS}") from error


def _seen(found: Array) -> TaskKind:
    """What they look like: words and whole numbers are classes, columns of zeros and ones too, others are numbers."""
    if found.ndim == 2:
        return "multilabel" if np.isin(found, (0, 1)).all() else "regression"
    return "regression" if found.dtype.kind == "f" and (found != np.floor(found)).any() else "multiclass"


def _classes(found: Array) -> Labels:
    if found.dtype.kind == "f" and (found != np.floor(found)).any():
        raise UserError(f"targets: {shown(float(found[found != np.floor(found)][0]))} is no class; whole numbers are")
    names, classes = np.unique(found, return_inverse=True)
    _refuse_count(len(names), len(found), names[0] if len(names) else None)
    names = names.astype(np.int64) if found.dtype.kind == "f" else names
    return Labels("multiclass", classes.reshape(-1).astype(np.int64), names.astype(str))


def _refuse_count(classes: int, rows: int, only: Any) -> None:
    if classes == 1:
        raise UserError(f"targets: all rows are of one class, {shown(str(only))}; there is nothing to tell apart")
    if classes > MOST_CLASSES:
        raise UserError(f"targets: {classes:,} classes; at most {MOST_CLASSES:,}. Are these numbers of rows?")
    if classes > max(2, rows // 2):
        way = 'kind="regression" predicts numbers'
        raise UserError(
            f"targets: {classes:,} classes in {rows:,} rows; too few rows of each. Are these classes? {way}"
        )


def _matrix(found: Array, names: list[str] | None) -> Labels:
    if found.ndim == 1:
        raise UserError("targets: for a multilabel task give (n, C), a column of zeros and ones for each class")
    _refuse_others(found)
    if (found.min(0) == found.max(0)).all():
        raise UserError("targets: no class is true of some rows and false of others; there is nothing to tell apart")
    return Labels("multilabel", found.astype(np.float32), _named(found, names))


def _one_hot(found: Array, names: list[str] | None) -> Labels:
    _refuse_others(found)
    if (found.sum(1) != 1).any():
        row = int(np.argmax(found.sum(1) != 1))
        raise UserError(f"targets: row {row} has {int(found[row].sum())} classes, of a multiclass task each has one")
    used, classes = np.unique(found.argmax(1), return_inverse=True)
    _refuse_count(len(used), len(found), _named(found, names)[used[0]])
    return Labels("multiclass", classes.astype(np.int64), _named(found, names)[used])


def _refuse_others(found: Array) -> None:
    if found.shape[1] > MOST_CLASSES:
        raise UserError(f"targets: {found.shape[1]:,} columns, one a class; at most {MOST_CLASSES:,}")
    wrong = ~np.isin(found, (0, 1)).all(1)
    if wrong.any():
        raise UserError(f"targets: row {int(np.argmax(wrong))} holds other values than 0 and 1; a column is a class")


def _numbers(found: Array, names: list[str] | None) -> Labels:
    if found.dtype.kind == "U":
        raise UserError("targets: words are no numbers to predict; kind='multiclass' takes them as classes")
    values = found.reshape(len(found), -1).astype(np.float64)
    same = np.flatnonzero(values.min(0) == values.max(0))
    if len(same):
        raise UserError(
            f"targets: number {int(same[0])} is {values[0, same[0]]:g} in all rows; there is nothing to learn"
        )
    return Labels("regression", values, _named(values, names))


def _named(found: Array, names: list[str] | None) -> Array:
    """What each column is called."""
    return np.array(names or [str(place) for place in range(found.shape[1])])
