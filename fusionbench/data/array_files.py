"""The files of the data set `arrays`: written once, by the hash of their contents, and what each of them is called.

<root>/prepared/arrays-<12 hex>/  left.npy ...      the modalities, as stored.py says
                                  targets.npy       int64 (n,) classes, float32 (n, C) zeros and ones, or
                                                    float64 (n, C) numbers to predict
                                  targets.names.npy (C,): the classes' names
                                  rows.test.npy     bool (n,)
                                  rows.groups.npy   int64 (n,): the same where rows belong together
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.data.store import Array, fingerprint_of, prepared

NAME = "arrays"
TARGETS, NAMES, TEST, GROUPS = "targets", "targets.names", "rows.test", "rows.groups"
VALIDATION = 0.125
"""Of the rows that are not for the test, so many are held out, by seed."""


def identity(contents: str) -> dict[str, str]:
    """What names the folder."""
    return {"contents": contents}


def contents_of(arrays: Mapping[str, Array]) -> str:
    """The hash of their contents, 64 hex digits: what names them, and the fingerprint that records state."""
    return fingerprint_of({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def write(root: Path, contents: str, arrays: Mapping[str, Array]) -> None:
    """Write them unless they are there.

    Args:
        root: the data folder.
        contents: `contents_of` these arrays.
        arrays: by file name.

    Raises:
        UserError: the data folder cannot be written, or the disk is full.
    """

    def convert(folder: Path) -> None:
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(array))

    prepared(root, NAME, identity(contents), None, convert)


def strata(targets: NDArray[Any]) -> NDArray[np.int64]:
    """One class per row, for splits that keep classes in proportion.

    Of several labels, the rarest that a row has: so a label that few rows have stays with those few in training, and
    none is in the test rows alone. Of numbers to predict, in which tenth of the first of them a row lies (in fewer
    parts where these would have less than ten rows).

    Args:
        targets: int64 (n,) classes, float32 (n, C) of zeros and ones, or float64 (n, C) of numbers.
    """
    if targets.dtype == np.float64:
        parts = min(10, max(1, len(targets) // 10))
        ends = np.quantile(targets[:, 0], np.linspace(0, 1, parts + 1)[1:-1])
        return np.searchsorted(ends, targets[:, 0]).astype(np.int64)
    if targets.ndim == 1:
        return targets.astype(np.int64)
    counts = (targets > 0).sum(0)
    ranked = np.where(targets > 0, counts, np.iinfo(np.int64).max)
    return np.where((targets > 0).any(1), ranked.argmin(1), -1).astype(np.int64)
