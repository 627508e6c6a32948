"""The ceiling of an XOR by hand, and the best that any answer to two noisy bits can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_suite import Bench

from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice
from fusionbench.records.store import Store
from fusionbench.report.ceiling import ceiling
from fusionbench.report.csvs import table_csv
from fusionbench.report.layout import markdown
from fusionbench.report.tables import Table, tables

SUITE = """
name: mine
datasets: [{name: imdb_cifar10, options: {relation: RELATION}}]
strategies: [late, concat]
seeds: 2
encoders: {tokens: {name: lstm, pretrain: {epochs: 1}}, image: {name: small_cnn, pretrain: {epochs: 1}}}
"""
OWN = {"text": (0.80, 0.84), "image": (0.90, 0.92)}
"""By seed."""


def facts(seed: int) -> dict[str, Any]:
    return {
        "pretrained": {
            name: {
                "rows": "all",
                "count": 9000,
                "metric": "accuracy",
                "scores": {"train/accuracy": own[seed], "validation/accuracy": own[seed]},
            }
            for name, own in OWN.items()
        }
    }


def made(folder: Path, relation: str = "synergy", known: bool = True) -> Table:
    suite = suite_of(parse_source(SUITE.replace("RELATION", relation), "mine.yaml"))
    bench = Bench(suite, Store(folder / "results", suite.name))
    for run in bench.runs():
        options = facts(run.seed) if known else {}
        bench.done(run, 0.5 if run.strategy.name == "late" else 0.7, options=options)
    (table,) = tables(bench.suite, bench.store)
    return table


def test_the_ceiling_is_the_xor_of_two_noisy_bits_by_seed(tmp_path: Path) -> None:
    found = made(tmp_path).ceiling
    assert found
    by_seed = [0.80 * 0.90 + 0.20 * 0.10, 0.84 * 0.92 + 0.16 * 0.08]
    assert found.value == pytest.approx(sum(by_seed) / 2)
    assert found.own == pytest.approx({"text": 0.82, "image": 0.91})
    assert found.part(found.value) == 1
    assert found.part(0.5) == 0


def test_each_row_has_its_part_of_it_and_the_page_says_what_it_is(tmp_path: Path) -> None:
    table = made(tmp_path)
    text = markdown(table)
    assert (
        "Ceiling of these encoders: 0.763, the XOR of two bits that are told with their validation accuracies" in text
    )
    assert "(text 0.820 and image 0.910)" in text
    assert "| `concat` | Concat | **0.7000** | +0.2000 | 0.761 |" in text
    assert "| `late` | Late fusion | 0.5000 | - | 0.000 |" in text
    assert "of_ceiling" in table_csv(table).splitlines()[0]


def test_no_other_relation_and_no_record_without_its_encoders_has_one(tmp_path: Path) -> None:
    assert made(tmp_path / "a", "redundant").ceiling is None
    table = made(tmp_path / "b", known=False)
    assert table.ceiling is None
    assert "eiling" not in markdown(table)
    assert "of_ceiling" not in table_csv(table)
    assert ceiling(Choice("digits"), ()) is None
    assert ceiling(Choice("gone.module", {"relation": "synergy"}), ()) is None


def test_no_answer_does_more_than_the_ceiling_however_sure_the_encoders_are() -> None:
    """Bits with honest chances: the answer of the larger chance is right as often as the formula says."""
    rng, n = np.random.default_rng(0), 400_000
    chances = rng.beta(0.5, 0.7, n), rng.beta(0.4, 0.4, n)
    bits = [rng.random(n) < chance for chance in chances]
    a, b = (float(np.mean((chance > 0.5) == bit)) for chance, bit in zip(chances, bits, strict=True))
    p, q = chances
    answer = p * (1 - q) + (1 - p) * q > 0.5
    right = float(np.mean(answer == (bits[0] ^ bits[1])))
    assert right == pytest.approx(a * b + (1 - a) * (1 - b), abs=0.004)
