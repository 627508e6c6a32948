"""Ranks over data sets, against scipy and a published table, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fusionbench.core.errors import UserError
from fusionbench.stats.ranks import critical_difference, ranks, win_matrix
from fusionbench.stats.refusals import NotTestable, refuse_mixture

MEANS = np.random.default_rng(0).random((4, 14))


@pytest.mark.parametrize(("strategies", "value"), [(3, 2.343), (4, 2.569), (7, 2.949), (10, 3.164)])
def test_the_critical_difference_has_the_published_critical_values(strategies: int, value: float) -> None:
    """Table 5 (a) of Demsar 2006, the two-tailed Nemenyi test at .05."""
    means = np.random.default_rng(1).random((strategies, 6))
    found = critical_difference(means.tolist(), 6)
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*means).pvalue)
    assert found.difference / np.sqrt(strategies * (strategies + 1) / (6 * 6)) == pytest.approx(
        value, abs=1e-3
    )  # It is rounded.


def test_ranks_are_scipys_best_first() -> None:
    assert ranks(MEANS.tolist())[:, 3] == pytest.approx(stats.rankdata(-MEANS[:, 3]))


def test_a_tie_is_half_a_win() -> None:
    assert win_matrix([[0.9, 0.8, 0.7], [0.8, 0.8, 0.9]]).tolist() == [[0.0, 1.5], [1.5, 0.0]]
    assert ranks([[0.9], [0.9], [0.1]]).ravel().tolist() == [1.5, 1.5, 3.0]


def test_below_five_data_sets_there_is_no_critical_difference() -> None:
    with pytest.raises(NotTestable, match="needs 5 data sets, there are 4"):
        critical_difference(MEANS[:, :4].tolist(), 4)
    with pytest.raises(NotTestable, match=r"there are 3 \(14 with other options of the same\)"):
        critical_difference(MEANS.tolist(), 3)
    with pytest.raises(NotTestable, match="needs 3 strategies"):
        critical_difference(MEANS[:2].tolist(), 14)


def test_results_of_two_kinds_do_not_share_a_table() -> None:
    refuse_mixture("digits", "results version", ["2", "2"])
    with pytest.raises(
        UserError, match=r"digits: one table cannot mix a results version of 1 \(1 runs\), 2 \(2 runs\)"
    ):
        refuse_mixture("digits", "results version", ["2", "1", "2"])
