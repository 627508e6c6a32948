"""Which rows `compare` tests on, and which belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.api.labels import Labels
from fusionbench.api.plain import first_missing, plain
from fusionbench.core.errors import UserError, shown
from fusionbench.data.array_files import strata
from fusionbench.data.splits import held_out

FRACTION = 0.2
TEST_SEED = 20_261_201
"""Draws the test rows, once and for all."""
FEWEST = 10

Groups = NDArray[np.int64]
Test = NDArray[np.bool_]


def groups_of(groups: Any, rows: int) -> Groups | None:
    """A number for each row, (n,), the same where rows belong together.

    Raises:
        UserError: one is missing, there are not as many as rows, or too few different ones for three parts.
    """
    if groups is None:
        return None
    found = plain("groups", groups)
    if len(found) != rows:
        raise UserError(f"groups: {len(found)} of them for {rows} rows; give one for each row")
    missing = first_missing(list(found)) if isinstance(found, list) or found.dtype.kind == "f" else None
    if missing is not None:
        raise UserError(f"groups: row {missing} has none; give each row one, a row by itself one of its own")
    try:
        names, numbers = np.unique(np.asarray(found), return_inverse=True)
    except TypeError as error:
        raise UserError("groups: give words alone, or numbers alone") from error
    if np.asarray(found).ndim != 1:
        raise UserError(f"groups have the shape {np.asarray(found).shape}; give one for each row, (n,)")
    if len(names) < 3:
        raise UserError(f"groups: {len(names)} of them; training, validation and test need one each")
    return numbers.reshape(-1).astype(np.int64)


def rows_for_test(test: Any, labels: Labels, groups: Groups | None) -> Test:
    """Which rows are for the test, bool (n,).

    Args:
        test: bool (n,), the numbers of some rows, or the fraction to be drawn once and for all; None: a fifth.
        labels: the targets.
        groups: what belongs together.

    Raises:
        UserError: rows that are not there, a class in the test that training lacks, a group in both.
    """
    rows = len(labels.values)
    if test is None or isinstance(test, float):
        return _drawn(FRACTION if test is None else test, labels, groups)
    found = np.asarray(plain("test", test))
    chosen = np.zeros(rows, dtype=bool)
    if found.dtype == bool and found.shape == (rows,):
        chosen = found
    elif found.dtype.kind in "iu" and found.ndim == 1:
        outside = found[(found < 0) | (found >= rows)]
        if len(outside):
            raise UserError(f"test: row {int(outside[0])}; rows are 0 to {rows - 1}")
        chosen[found] = True
    else:
        raise UserError(
            f"test: give bool ({rows},), the numbers of rows, or a fraction, got {found.dtype} {found.shape}"
        )
    if chosen.all() or not chosen.any():
        raise UserError(f"test: {int(chosen.sum())} of {rows} rows; some have to be for the test, others to train on")
    _refuse_unknown_classes(labels, chosen)
    _refuse_shared(groups, chosen)
    return chosen


def refuse_few(rows: int) -> None:
    """Raises UserError where there are not enough rows for three parts."""
    if rows < FEWEST:
        raise UserError(f"{rows} row{'s' * (rows != 1)}; training, validation and test need at least {FEWEST} together")


def refuse_no_validation(labels: Labels, groups: Groups | None, test: Test, fraction: float) -> None:
    """Raises UserError where no row can be held out for validation without a class losing its last one."""
    rest = np.flatnonzero(~test)
    own = None if groups is None else groups[rest]
    _, held = held_out(strata(labels.values)[rest], fraction, np.random.default_rng(0), own)
    if not len(held):
        raise UserError(
            f"no row of the {len(rest)} to train on can be kept for validation; give more rows of each class"
        )


def _drawn(fraction: float, labels: Labels, groups: Groups | None) -> Test:
    if not 0 < fraction < 1:
        raise UserError(f"test: {shown(fraction)} is no fraction between 0 and 1")
    _, held = held_out(strata(labels.values), fraction, np.random.default_rng(TEST_SEED), groups)
    if not len(held):
        raise UserError("test: no rows can be drawn without a class losing its last one; give more rows, or test=...")
    chosen = np.zeros(len(labels.values), dtype=bool)
    chosen[held] = True
    return chosen


def _refuse_unknown_classes(labels: Labels, test: Test) -> None:
    if labels.kind == "multiclass":
        known = np.bincount(labels.values[~test], minlength=len(labels.names)) > 0
        unseen = np.flatnonzero(test & ~known[labels.values])
        lacking = labels.values[unseen[0]] if len(unseen) else None
    elif labels.kind == "regression":
        return
    else:
        true = labels.values > 0
        missing = true[test].any(0) & ~true[~test].any(0)
        lacking = np.flatnonzero(missing)[0] if missing.any() else None
        unseen = np.flatnonzero(test & true[:, lacking]) if lacking is not None else np.zeros(0, dtype=np.int64)
    if lacking is not None:
        name = str(labels.names[lacking])
        raise UserError(f"test: row {int(unseen[0])} is of class {shown(name)}, which no row to train on is of")


def _refuse_shared(groups: Groups | None, test: Test) -> None:
    if groups is None:
        return
    shared = np.isin(groups[test], groups[~test])
    if shared.any():
        row = int(np.flatnonzero(test)[shared][0])
        raise UserError(f"test: the group of row {row} has rows outside of the test too; keep groups whole")
