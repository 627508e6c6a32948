from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusionbench.data.npy import GrowingArray


@given(
    sizes=st.lists(st.integers(0, 5), max_size=6),
    dtype=st.sampled_from(["<f4", "<i8", "<i2", "S7"]),
    shape=st.sampled_from([(), (3,), (2, 2)]),
)
def test_pieces_appended_are_the_array_that_numpy_would_have_saved(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dtype: str, shape: tuple[int, ...]
) -> None:
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    rng = np.random.default_rng(len(sizes))
    pieces: list[NDArray[Any]] = [rng.integers(0, 99, (size, *shape)).astype(dtype) for size in sizes]
    with GrowingArray(path, dtype, shape) as growing:
        for piece in pieces:
            growing.append(piece)
    whole = np.concatenate([np.zeros((0, *shape), dtype=dtype), *pieces])
    for mode in (None, "r"):
        if len(whole) or mode is None:
            found = np.load(path, mmap_mode=mode, allow_pickle=False)
            assert found.dtype == whole.dtype
            assert found.tolist() == whole.tolist()


def test_the_header_has_room_for_any_number_of_rows(tmp_path: Path) -> None:
    with GrowingArray(tmp_path / "a.npy", "<i2") as growing:
        growing.append(np.arange(12_345, dtype=np.int16))
    np.save(tmp_path / "b.npy", np.arange(12_345, dtype=np.int16))
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("rows", [np.zeros((2, 4), np.float32), np.zeros((2, 3)), np.zeros(3, np.float32)])
def test_rows_of_another_shape_or_with_more_digits_are_refused(tmp_path: Path, rows: NDArray[Any]) -> None:
    with GrowingArray(tmp_path / "a.npy", "<f4", (3,)) as growing:
        with pytest.raises(ValueError, match="in an array of float32"):
            growing.append(rows)
        growing.append(np.ones((1, 3), np.float32))
    assert np.load(tmp_path / "a.npy").tolist() == [[1, 1, 1]]
