"""A pickle of plain values and numpy's arrays, read without running what a pickle may ask for.

A pickle may name any function and have it called while it is read. Here it may name what makes an array, a scalar or a
type of numpy, and nothing else.

Source: PEP 307 and PEP 574 for the protocol.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
UNREADABLE = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OverflowError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What reading a pickle of something else may end in."""


def read(path: Path) -> Any:
    """What a file holds.

    Raises:
        UnpicklingError: it names something else than arrays and plain values.
        UNREADABLE: it is no pickle, or is cut short.
    """
    with path.open("rb") as file:
        return _Reader(file, encoding="latin-1").load()


def _made(kind: Any, shape: Any, code: Any) -> Any:
    """Numpy's `_reconstruct`, of plain arrays alone."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("an array of another class")
    return np.ndarray.__new__(np.ndarray, shape, code)


def _scalar(kind: Any, content: Any = b"") -> Any:
    """Numpy's `scalar`, of numbers and words alone."""
    if not isinstance(kind, np.dtype) or kind.hasobject or not isinstance(content, bytes | str):
        raise pickle.UnpicklingError("a scalar that is no number and no word")
    raw = content.encode("latin-1") if isinstance(content, str) else content
    return np.frombuffer(raw, kind, count=1)[0]


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> Any:
    """Numpy's `_frombuffer`."""
    return np.frombuffer(content, dtype=kind).reshape(shape, order=order)


def _encoded(text: Any, code: Any = "latin1") -> Any:
    """`codecs.encode`, by which Python 3 writes bytes for older readers."""
    if not isinstance(text, str) or code not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in another code")
    return text.encode("latin-1")


ALLOWED: dict[tuple[str, str], Any] = {
    **{(module, "_reconstruct"): _made for module in MULTIARRAY},
    **{(module, "scalar"): _scalar for module in MULTIARRAY},
    **{(module, "_frombuffer"): _from_buffer for module in NUMERIC},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): OrderedDict,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What it may name."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ALLOWED[module, name]
