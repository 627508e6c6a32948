"""What a cell of a manifest holds or names, as an array: a picture, a sound, a sequence or a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fusionbench.core.errors import UserError
from fusionbench.data.log_mel import LogMel
from fusionbench.data.manifests.columns import Column
from fusionbench.data.manifests.paths import Broken, file_at
from fusionbench.data.pictures import read_picture
from fusionbench.data.sounds import read_sound
from fusionbench.data.store import BROKEN, Array, mapped

MOST_VALUES = 2**27
"""Of one sequence or vector; a file of a few bytes may promise more than there is memory."""
TYPES: Mapping[str, DTypeLike] = {"image": np.uint8, "audio": np.float16, "sequence": np.float32, "vector": np.float32}
"""By kind, how values are stored."""


def reader_of(column: Column, folder: Path) -> Callable[[Any], Array]:
    """What reads a cell: (C, H, W) of a picture, (T, F) of a sound or sequence, (F,) of a vector.

    Args:
        column: the modality.
        folder: resolved; paths are relative to it.

    Raises:
        UserError: options that do not go together. What is returned raises `Broken`, of a cell or file that is none.
    """
    options = column.options
    if column.kind == "image":
        return _of_file(folder, lambda path: read_picture(path, int(options["size"]), int(options["channels"])))
    if column.kind == "audio":
        made = LogMel(float(options["seconds"]), int(options["rate"]), int(options["bands"]))
        return _of_file(folder, lambda path: made(read_sound(path, made.rate, made.seconds)))
    return _Numbers(folder, steps=column.kind == "sequence")


def _of_file(folder: Path, read: Callable[[Path], Array]) -> Callable[[Any], Array]:
    def found(cell: Any) -> Array:
        try:
            return read(file_at(folder, cell))
        except UserError as error:
            raise Broken(str(error)) from error

    return found


class _Numbers:
    """A list in the cell itself, or a file .npy."""

    def __init__(self, folder: Path, *, steps: bool) -> None:
        self.folder, self.steps = folder, steps

    def __call__(self, cell: Any) -> Array:
        values = self._listed(cell) if isinstance(cell, list) else self._loaded(file_at(self.folder, cell))
        if self.steps and values.ndim == 1:
            values = values[:, None]
        if values.ndim == 2 and not self.steps and values.shape[0] == 1:
            values = values[0]
        if values.ndim != 1 + self.steps or not values.size:
            wanted = "a sequence is (steps, numbers)" if self.steps else "a vector is (numbers,)"
            raise Broken(f"an array {values.shape}; {wanted}")
        with np.errstate(over="ignore"):
            found = np.asarray(values, dtype=np.float32)
        if not np.isfinite(found).all():
            raise Broken("holds NaN or infinity; leave the cell empty, or mend it")
        return found

    def _listed(self, cell: list[Any]) -> Array:
        try:
            return np.array(cell, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise Broken("a list of something else than numbers, or of lists of different lengths") from error

    def _loaded(self, path: Path) -> Array:
        try:
            found = mapped(path)
        except BROKEN as error:
            raise Broken(f"{path}: no array ({' '.join(str(error).split())[:120]}); give a file .npy") from error
        if found.dtype.kind not in "biuf":
            raise Broken(f"{path}: no array of numbers; give a file .npy")
        if found.size > MOST_VALUES:
            raise Broken(f"{path}: an array {found.shape}; at most {MOST_VALUES:,} numbers are read")
        return found
