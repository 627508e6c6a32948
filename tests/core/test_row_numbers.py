"""Numbers of rows: even, and the same in whatever company."""

from __future__ import annotations

import numpy as np
import pytest

from fusionbench.core.canonical import sha256_of
from fusionbench.core.row_numbers import row_generators, row_numbers


def test_a_row_has_the_same_number_in_whatever_company_and_numbers_are_even() -> None:
    numbers = row_numbers([3, "a"], np.arange(5000))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for rate in (0.1, 0.3, 0.9):
        assert (numbers < rate).mean() == pytest.approx(rate, abs=0.02)
    assert np.array_equal(row_numbers([3, "a"], np.array([17, 4])), numbers[[17, 4]])
    assert not np.array_equal(row_numbers([3, "b"], np.arange(5000)), numbers)


def test_the_generator_of_a_row_is_a_philox_of_its_own_whatever_was_drawn_for_the_row_before() -> None:
    key = int(sha256_of(["noise"]), 16) % 2**64
    for row, rng in zip((3, 900, 0), row_generators(["noise"], (3, 900, 0)), strict=True):
        new = np.random.Generator(np.random.Philox(key=np.array([key, row], dtype=np.uint64)))
        for count in (5, 3):  # An odd number of 32-bit draws leaves half of one over.
            assert np.array_equal(
                rng.integers(1 << 20, size=count, dtype=np.int32), new.integers(1 << 20, size=count, dtype=np.int32)
            )
            assert np.array_equal(
                rng.standard_normal(count, dtype=np.float32), new.standard_normal(count, dtype=np.float32)
            )
        rng.integers(9, size=1, dtype=np.int32)
