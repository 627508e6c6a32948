"""A table against one of its rows: Holm's correction, what is better and worse, what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fusionbench.stats.estimate import Scored
from fusionbench.stats.paired import matrix
from fusionbench.stats.references import against

Table = dict[str, dict[int, Scored]]


def made(means: dict[str, float], seeds: int = 6) -> Table:
    rng = np.random.default_rng(0)
    return {name: {s: Scored(mean + 0.002 * rng.normal()) for s in range(seeds)} for name, mean in means.items()}


def test_p_values_are_paired_t_tests_with_holms_correction() -> None:
    table = made({"late": 0.9, "a": 0.903, "b": 0.901, "c": 0.85})
    found = against("late", "late", matrix(table), set(table), set(table))
    scores = {name: [one.score for one in row.values()] for name, row in table.items()}
    single = [stats.ttest_rel(scores[name], scores["late"]).pvalue for name in "abc"]
    assert [one.strategy for one in found.compared] == ["a", "b", "c"]
    assert [one.p for one in found.compared] == pytest.approx(multipletests(single, method="holm")[1])
    assert found.compared[2].is_worse
    assert not found.compared[2].is_better
    assert found.compared[2].estimate.mean == pytest.approx(np.mean(scores["c"]) - np.mean(scores["late"]))
    assert found.of("late") is None


def test_rows_that_did_not_end_well_are_neither_tested_nor_counted() -> None:
    table = made({"late": 0.9, "a": 0.903, "b": 0.2})
    found = against("late", "late", matrix(table), {"late", "a"}, {"a"})
    assert [one.strategy for one in found.compared] == ["a"]


def test_one_seed_has_differences_and_no_test() -> None:
    table = made({"late": 0.9, "a": 0.95}, seeds=1)
    found = against("late", "late", matrix(table), set(table), set(table))
    assert found.compared[0].p is None
    assert not found.compared[0].is_better
    assert found.detectable is None


def test_the_detectable_difference_has_the_first_level_of_holms() -> None:
    table = made({"late": 0.9, "a": 0.9, "b": 0.9})
    differences = matrix(table)
    found = against("late", "late", differences, set(table), {"a", "b"})
    error = float(np.median(differences.error[[1, 2], 0]))
    assert found.detectable is not None
    power = stats.nct.sf(stats.t.ppf(1 - 0.025 / 2, 5), 5, found.detectable / error)
    assert power == pytest.approx(0.8, abs=1e-3)
