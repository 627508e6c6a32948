"""The suites that ask whether balancing modalities helps have the whole family, and differ in the optimiser alone."""

from __future__ import annotations

import pytest

from fusionbench.core.catalogue import describe, names
from fusionbench.plan.load import load_suite

SUITES = {name: load_suite(name) for name in ("balancing", "balancing_sgd")}
FAMILY = {name for name in names("strategy") if describe("strategy", name).facts.get("family") == "training"}


@pytest.mark.parametrize("name", SUITES)
def test_every_strategy_of_the_training_family_is_in_it_and_tested_in_pairs(name: str) -> None:
    suite = SUITES[name]
    assert FAMILY.issubset(row.strategy.name for row in suite.rows)
    assert FAMILY.issubset(suite.families[0].members)
    assert len(suite.seeds) == 6


def test_the_two_differ_in_the_optimiser_alone() -> None:
    adamw, sgd = SUITES["balancing"], SUITES["balancing_sgd"]
    assert (adamw.rows, adamw.datasets, adamw.families) == (sgd.rows, sgd.datasets, sgd.families)
    assert (adamw.budget.method, sgd.budget.method) == ("AdamW", "SGD with momentum 0.9")
    same = ("epochs", "batch_size", "dropout", "precision", "patience", "head_norm")
    assert [getattr(adamw.budget, one) for one in same] == [getattr(sgd.budget, one) for one in same]
    assert (adamw.compare_with, sgd.compare_with) == (("balancing_sgd",), ("balancing",))
