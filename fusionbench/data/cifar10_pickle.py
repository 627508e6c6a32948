"""One batch of CIFAR-10 from its Python 2 pickle, without running anything that a pickle may ask for.

A pickle may name any function and have it called while it is read. CIFAR-10's name three, all of numpy: this reader
puts a stand-in of its own in the place of each, which can only make the one array that such a file holds, and refuses
every other name. Not even numpy is called before the array's type and shape are known.

Source: https://www.cs.toronto.edu/~kriz/cifar.html; PEP 307 for the protocol.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown

PICTURES = 10_000
"""In each batch."""
SHAPE = (3, 32, 32)
"""Red, green, blue; rows from the top; columns from the left."""
LARGEST_NUMBER = 2**17
"""Under which a batch keeps what it has read: twenty thousand names and a few more."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a pickle of something else may end in."""


class _Name:
    """Stands for a name of numpy; an instance without attributes, so that a pickle can change nothing of it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _Array:
    """An array of bytes as a pickle describes it."""

    __slots__ = ("content",)

    def __init__(self) -> None:
        self.content: bytes | None = None

    def __setstate__(self, state: object) -> None:
        """The state of a numpy array: version, shape, type, order, content."""
        match state:
            case (1, (int(), int()) as shape, _Type(), False, bytes(content)):
                if shape == (PICTURES, int(np.prod(SHAPE))) and len(content) == shape[0] * shape[1]:
                    self.content = content
                    return
        raise pickle.UnpicklingError("an array that is not CIFAR-10's")


class _Type:
    """Unsigned bytes, the only type there is."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Version, byte order and five more that say nothing of bytes."""


class _MakeArray(_Name):
    """Stands for numpy's `_reconstruct`."""

    __slots__ = ()

    def __call__(self, kind: object, shape: object, code: object) -> _Array:
        return _Array()


class _MakeType(_Name):
    """Stands for `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, code: object, align: object, copy: object) -> _Type:
        if code not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"an array of type {shown(code)}")
        return _Type()


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy", "dtype"): _MakeType(),
    ("numpy", "ndarray"): _Name(),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        """The stand-in of a name; nothing is ever imported."""
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {shown(f'{module_name}.{global_name}')}")
        return ALLOWED[module_name, global_name]


def unpickled(content: bytes, place: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A batch's pictures (10000, 3, 32, 32) and labels (10000,).

    Args:
        content: of the file.
        place: what an error calls it.

    Raises:
        UserError: it holds anything but CIFAR-10's arrays; nothing of it was executed.
    """
    try:
        _refuse_vast(content)
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except UNREADABLE as error:
        raise _foreign(place, str(error) or type(error).__name__) from error
    match found:
        case {b"data": _Array(content=bytes(pixels)), b"labels": list(labels)} if _are_labels(labels):
            pictures = np.frombuffer(pixels, dtype=np.uint8).reshape(PICTURES, *SHAPE)
            return pictures, np.array(labels, dtype=np.int64)
    raise _foreign(place, "no dictionary of pictures and labels")


def _refuse_vast(content: bytes) -> None:
    """A pickle keeps what it has read under numbers that it names, and Python makes room for all of them up to that."""
    for code, argument, _ in pickletools.genops(content):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= LARGEST_NUMBER:
            raise pickle.UnpicklingError(f"it keeps something under the number {shown(argument)}")


def _are_labels(labels: list[object]) -> bool:
    return len(labels) == PICTURES and all(type(label) is int and 0 <= label < len(CLASSES) for label in labels)


def _foreign(place: str, problem: str) -> UserError:
    reason = " ".join(problem.split())[:120]
    return UserError(f"{place}: not a batch of CIFAR-10 ({reason}); nothing in it was executed, copy it again")
