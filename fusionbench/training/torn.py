"""Whether stored arrays belong together, which is cheap to see: what does not would be read beyond its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fusionbench.core.errors import UserError
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array

STEPS = ("tokens", "steps")
"""What `offsets` and `mask` are of."""


def refuse_torn(folder: Path, arrays: Mapping[str, Array], rows: Rows) -> None:
    """UserError unless the arrays of a stored encoding, or of a trunk, are of these rows and fit each other.

    Args:
        folder: that they lie in.
        arrays: as training/encodings.py and training/trunks.py say.
        rows: (n,) that they have to be of.
    """
    fault = _fault({name: np.asarray(array) for name, array in arrays.items()}, rows)
    if fault:
        raise UserError(f"{folder}: {fault}: damaged; remove the folder, it is made again")


def _fault(arrays: Mapping[str, Array], rows: Rows) -> str:
    """What is wrong with them, in a few words."""
    if "rows" not in arrays or not np.array_equal(arrays["rows"], rows):
        return "rows.npy holds other rows"
    vectors = [name for name in arrays if name in ("pooled", "vector") or name.startswith("stage")]
    steps = [name for name in STEPS if name in arrays]
    if not {"pooled", "vector", "steps"} & arrays.keys() or ("pooled" in arrays and "tokens" not in arrays):
        return "an array is missing"
    for name in (*vectors, *steps):
        if arrays[name].ndim != 2 or arrays[name].dtype != np.float32:
            return f"{name}.npy holds no vectors"
    for name in vectors:
        if len(arrays[name]) != len(rows):
            return f"{name}.npy has {len(arrays[name])} rows, not {len(rows)}"
    return _fault_of_steps(arrays, steps[0], len(rows)) if steps else ""


def _fault_of_steps(arrays: Mapping[str, Array], name: str, count: int) -> str:
    mask, offsets = arrays.get("mask"), arrays.get("offsets")
    if mask is None or mask.dtype != np.bool_ or mask.shape != (len(arrays[name]),):
        return f"mask.npy is not that of {name}.npy"
    if offsets is None or offsets.dtype != np.int64 or offsets.shape != (count + 1,):
        return "offsets.npy has not one number for each row"
    if offsets[0] != 0 or offsets[-1] != len(mask) or (np.diff(offsets) < 0).any():
        return f"offsets.npy leads out of {name}.npy"
    return ""
