"""Holm's correction against statsmodels'."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from fusionbench.stats.holm import holm


@pytest.mark.parametrize("count", [1, 2, 5, 66])
def test_it_is_what_statsmodels_says(count: int) -> None:
    for p in np.random.default_rng(count).random((4, count)).round(2) ** 3:  # Rounded: some are equal, some are 0.
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_many_tables_at_once_are_each_by_itself() -> None:
    p = np.random.default_rng(0).random((5, 3, 7))
    assert holm(p)[2, 1] == pytest.approx(holm(p[2, 1]))


def test_what_is_not_tested_counts_for_none() -> None:
    found = holm(np.array([0.01, np.nan, 0.04]))
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[1])
