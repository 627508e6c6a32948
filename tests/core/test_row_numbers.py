"""Numbers of rows: even, and the same in whatever company."""

from __future__ import annotations

import numpy as np
import pytest

from fusionbench.core.row_numbers import row_numbers


def test_a_row_has_the_same_number_in_whatever_company_and_numbers_are_even() -> None:
    numbers = row_numbers([3, "a"], np.arange(5000))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for rate in (0.1, 0.3, 0.9):
        assert (numbers < rate).mean() == pytest.approx(rate, abs=0.02)
    assert np.array_equal(row_numbers([3, "a"], np.array([17, 4])), numbers[[17, 4]])
    assert not np.array_equal(row_numbers([3, "b"], np.arange(5000)), numbers)
