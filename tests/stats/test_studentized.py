"""The studentised range against scipy's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import studentized_range

from fusionbench.stats.studentized import critical, survival


@pytest.mark.parametrize("count", [2, 3, 7, 12])
def test_probabilities_are_those_of_scipy(count: int) -> None:
    degrees = np.array([1.0, 2.0, 4.5, 11.0, 60.0, 399.0])
    for q in (0.5, 2.0, 4.0, 8.0):
        assert survival(q, count, degrees) == pytest.approx(studentized_range.sf(q, count, degrees), abs=1e-8)


@pytest.mark.parametrize("count", [2, 6, 12])
def test_quantiles_are_those_of_scipy(count: int) -> None:
    degrees = np.array([2.0, 3.7, 10.0, 55.0])
    assert critical(count, degrees) == pytest.approx(studentized_range.ppf(0.95, count, degrees), rel=1e-6)


def test_equal_means_have_probability_one_and_arrays_broadcast() -> None:
    found = survival(np.array([[0.0], [3.0]]), 4, np.array([5.0, 50.0]))
    assert found.shape == (2, 2)
    assert found[0] == pytest.approx(1.0)
    assert found[1, 0] > found[1, 1]
