"""All pairs of a family against scipy and statsmodels, where these do the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests

from fusionbench.stats.paired import paired
from fusionbench.stats.pairs import (
    blocked_residuals,
    brown_forsythe,
    each_by_itself,
    holm_p,
    tukey,
    tukey_p,
)


def alike(count: int, n: int, start: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(K, n) scores whose residuals have equal spread in every strategy, and means that differ."""
    rng = np.random.default_rng(start)
    x = rng.normal(size=(count, n))
    for _ in range(200):  # Alternately: no mean of a seed, and every strategy's spread 1.
        x = blocked_residuals(x)
        x /= np.sqrt((x**2).sum(1, keepdims=True) / (n - 1))
    return np.asarray(x + np.linspace(0, 3, count)[:, None] + rng.normal(0, 5, n))


def test_with_equal_spreads_it_is_tukeys_test_on_the_residuals_of_least_squares() -> None:
    x = alike(5, 6)
    data = pd.DataFrame({"y": x.ravel(), "k": np.repeat(np.arange(5), 6), "s": np.tile(np.arange(6), 5)})
    fit = ols("y ~ C(k) + C(s)", data).fit()
    found = tukey(x, paired(x))
    scale = fit.scale * (1 + 1 / 5**2)  # A pair's own error, raised a little, is the larger one here.
    q = abs(x[0].mean() - x[3].mean()) / np.sqrt(scale / 6)
    assert tukey_p(found)[0, 3] == pytest.approx(stats.studentized_range.sf(q, 5, fit.df_resid), abs=1e-4)
    half = stats.studentized_range.ppf(0.95, 5, fit.df_resid) * np.sqrt(scale / 6)
    assert found.half_width[0, 3] == pytest.approx(half, rel=1e-3)


def test_without_what_seeds_share_it_is_scipys_tukey_but_for_the_degrees_of_freedom() -> None:
    """scipy knows no blocks: it has K(n-1) degrees of freedom. With 200 seeds neither matters."""
    x = np.random.default_rng(1).normal(size=(3, 200)) + np.array([[0.0], [0.1], [0.3]])
    theirs = stats.tukey_hsd(*x).pvalue
    assert tukey_p(tukey(x, paired(x))) == pytest.approx(theirs, abs=0.02)


def test_two_strategies_have_the_paired_t_test() -> None:
    x = np.random.default_rng(2).normal(size=(2, 6))
    assert tukey_p(tukey(x, paired(x)))[0, 1] == pytest.approx(stats.ttest_rel(*x).pvalue, abs=1e-6)


def test_no_pair_has_less_than_its_own_strategies_error() -> None:
    x = np.random.default_rng(3).normal(size=(6, 6))
    x[0] *= 8
    error = tukey(x, paired(x)).error
    assert error[0, 1] > 1.5 * error[1, 2]


def test_pairs_by_themselves_are_paired_t_tests_with_holms_correction() -> None:
    x = np.random.default_rng(4).normal(size=(4, 6)) * np.array([[1.0], [2.0], [1.0], [9.0]])
    i, j = np.triu_indices(4, 1)
    single = [stats.ttest_rel(x[a], x[b]).pvalue for a, b in zip(i, j, strict=True)]
    assert holm_p(paired(x))[i, j] == pytest.approx(multipletests(single, method="holm")[1])
    assert (each_by_itself(paired(x)).differ[i, j] == multipletests(single, method="holm")[0]).all()


def test_the_test_of_equal_spreads_is_scipys() -> None:
    r = blocked_residuals(np.random.default_rng(5).normal(size=(4, 7, 6)))
    for one, p in zip(r, brown_forsythe(r), strict=True):
        assert p == pytest.approx(stats.levene(*one, center="median").pvalue)
    assert brown_forsythe(np.zeros((3, 4))) == 1.0


def test_p_and_interval_agree() -> None:
    x = np.random.default_rng(6).normal(size=(8, 6)) + np.arange(8)[:, None] / 2
    rows = x[..., None] + np.random.default_rng(7).normal(0, 0.5, (8, 6, 100))
    found = tukey(x, paired(x, rows, 80))
    assert ((tukey_p(found) < 0.05) == found.differ).all()
    assert ((np.abs(found.mean) > found.half_width) == found.differ).all()
