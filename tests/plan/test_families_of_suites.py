"""`families`: which rows a suite may name, and that this moves no run."""

from __future__ import annotations

import pytest

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.plan.families import MOST
from fusionbench.plan.family import Family
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source, read_source, with_settings

BASE = "name: mine\ndatasets: [digits]\nstrategies: all\nseeds: 2\n"


def families(text: str, base: str = BASE) -> tuple[Family, ...]:
    return suite_of(parse_source(f"{base}families:\n{text}\n", "mine.yaml")).families


def test_a_family_names_rows_and_moves_no_run() -> None:
    text = "families:\n  - {name: simple, rows: [concat, late]}\n"
    found = suite_of(parse_source(BASE + text, "mine.yaml"))
    plain = suite_of(parse_source(BASE, "mine.yaml"))
    assert found.families == (Family("simple", ("concat", "late")),)
    assert plain.families == ()
    assert [run.key for run in found.runs()] == [run.key for run in plain.runs()]


def test_a_strategy_stands_for_all_of_its_rows_and_a_row_for_itself() -> None:
    both, one = families(
        "  - {name: both, rows: [gated_by_one, late]}\n  - {name: one, rows: [gated_cross_attention+reader=left, sum]}"
    )
    assert all(both.has("gated_by_one", f"gated_by_one+gate={gate}") for gate in ("left", "right"))
    readers = {reader: f"gated_cross_attention+reader={reader}" for reader in ("left", "right")}
    assert one.has("gated_cross_attention", readers["left"])
    assert not one.has("gated_cross_attention", readers["right"])


def test_near_copies_count_once_towards_the_most_that_a_family_may_have() -> None:
    twelve = "late, concat, sum, gated, low_rank, tensor, film, max, mutan, mfb, block, bottleneck"
    (found,) = families(f"  - {{name: many, rows: [{twelve}, agm, pmr, late_learned]}}")
    assert len(found.members) == MOST + 3
    with pytest.raises(UserError, match="13 rows, near-copies counted once; a family has at most 12"):
        families(f"  - {{name: many, rows: [{twelve}, agm, early]}}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  - {name: a, rows: [concat, gatd]}", "no row in these tables called 'gatd'; did you mean 'gated'?"),
        ("  - {name: a, rows: [concat, unimodal]}", "'unimodal' looks at one modality or none; only fusion"),
        ("  - {name: a, rows: [concat, chance]}", "'chance' looks at one modality or none; only fusion"),
        ("  - {name: a, rows: [concat, concat]}", "families.0.rows.1: 'concat' is in this family already"),
        ("  - {name: a, rows: [gated_by_one, gated_by_one+gate=left]}", "'gated_by_one+gate=left' is in this family"),
        ("  - {name: a, rows: [concat, sum]}\n  - {name: b, rows: [sum, late]}", "'sum' is in family 'a' already"),
        ("  - {name: a, rows: [concat, sum]}\n  - {name: a, rows: [late, max]}", "families.1.name: 'a' is named twice"),
        (
            "  - {name: a, rows: [concat, gated_by_one+gate=letf]}",
            "no row in these tables called 'gated_by_one+gate=letf'",
        ),
        ("  - {name: a, rows: [concat]}", "families.0.rows: "),
        ("  - {name: A b, rows: [concat, sum]}", "a family's name is up to 64 lower-case letters"),
        ("  - {name: a, row: [concat, sum]}", "no key 'row'; did you mean 'rows'?"),
        ("  - {name: a}", "families.0.rows: is missing"),
        ("  - [concat, sum]", "families.0: "),
    ],
)
def test_a_mistake_is_a_line_that_names_its_place(text: str, words: str) -> None:
    with pytest.raises(UserError) as found:
        families(text)
    assert words in str(found.value)
    assert "mine.yaml, line" in str(found.value)


def test_a_suite_that_is_shortened_keeps_its_families() -> None:
    source = with_settings(read_source("quickstart"), ["strategies=[concat, late]"])
    assert suite_of(source).families == load_suite("quickstart").families


def test_a_copy_names_a_strategy_that_is_no_copy_itself() -> None:
    originals = {name: describe("strategy", name).facts.get("copy_of", "") for name in names("strategy")}
    assert {name for name, original in originals.items() if original} == {"agm", "pmr", "late_learned"}
    assert all(originals[original] == "" for original in originals.values() if original)


@pytest.mark.parametrize("name", ["quickstart", "all_strategies", "youtube8m"])
def test_published_suites_name_a_family(name: str) -> None:
    assert load_suite(name).families
