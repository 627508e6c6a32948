"""A .npy file that grows: rows are appended, and the header is written again at the end.

Written by plain writes, not through a memory map: a full disk is then an error that can be told, not a killed process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from fusionbench.core.files import synchronise


class GrowingArray:
    """An array (n, *shape) of one type on disk, n not known beforehand; a context manager.

    Args:
        path: the .npy file; written anew.
        dtype: of the values.
        shape: of one row.
        kept: go on with a file that another such array has left, which has at least so many rows.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: Sequence[int] = (), kept: int = 0) -> None:
        self.dtype, self.shape, self.rows = np.dtype(dtype), tuple(shape), kept
        self._file = path.open("r+b" if kept else "wb")
        self._write_header()
        self._data = self._file.tell()
        self._file.seek(kept * self.dtype.itemsize * math.prod(self.shape), os.SEEK_CUR)
        self._file.truncate()

    def append(self, values: NDArray[Any]) -> None:
        """Add rows (k, *shape).

        Raises:
            OSError: they cannot be written, e.g. the disk is full.
            ValueError: they are of another shape, or would lose digits or letters.
        """
        if values.shape[1:] != self.shape or not np.can_cast(values.dtype, self.dtype, "safe"):
            raise ValueError(f"rows {values.dtype} {values.shape[1:]} in an array of {self.dtype} {self.shape}")
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data.cast("B") if values.size else b"")
        self.rows += len(values)

    def synchronise(self) -> None:
        """Bring all rows so far to the disk, so that another can go on behind them."""
        synchronise(self._file)

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._write_header()
                # numpy pads a header so that the first axis may grow in place; this is what is relied on here.
                assert self._file.tell() == self._data
        finally:
            self._file.close()

    def _write_header(self) -> None:
        facts = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.rows, *self.shape)}
        npy.write_array_header_1_0(self._file, facts)
