"""The page of each strategy: everything on it comes from its file, and nothing that it should say is left out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fusionbench.cli.listing import strategy_pages
from fusionbench.cli.main import main
from fusionbench.cli.pages import FACTS, FAMILIES, PART, family, page
from fusionbench.core.catalogue import describe, names
from fusionbench.fusion.base import FusionModule

STRATEGIES = names("strategy")
DOCS = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_the_pages_in_docs_are_those_of_the_files_now() -> None:
    assert DOCS.read_text(encoding="utf-8") == strategy_pages(), "run: python docs/readme.py"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_says_all_that_its_page_shows(strategy: str) -> None:
    plugin = describe("strategy", strategy)
    parts = {found[1]: found[2] for found in PART.finditer(plugin.doc)}
    assert set(parts) == {"Parameters", "FLOPs", "Source", "Use"}
    assert plugin.facts.get("family") in FAMILIES
    assert re.search(r"^    .* = ", plugin.doc.partition("\nParameters: ")[0], re.MULTILINE), "no formula"
    if plugin.facts.get("fidelity", "faithful") != "faithful":
        assert plugin.facts.get("departure"), "not faithful, yet no departure is stated"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_page_has_what_the_file_states(strategy: str) -> None:
    plugin = describe("strategy", strategy)
    shown = page(plugin)
    assert shown.startswith(f"### {strategy}\n")
    for word in ("**Parameters**: `", "**FLOPs a sample**: `", "**Source**: ", "**When to use it**: "):
        assert shown.count(word) == 1
    assert all(f"`{name}" in shown for name in plugin.options)
    assert not re.search(r"^(Parameters|FLOPs|Source|Use): ", shown, re.MULTILINE)


def test_what_a_page_takes_for_granted_is_what_a_class_inherits() -> None:
    assert {name: getattr(FusionModule, name) for name, _ in FACTS} == dict(FACTS)


def test_formulas_stay_as_they_are_and_prose_is_escaped() -> None:
    formula, counts = "    y = a_m * |b|    (B, D)", "Parameters: 2*M\nFLOPs: 0\nSource: none."
    doc = f"Odd: does it. Well.\n\n{formula}\n\nA length |b| of a_m*b, `a_m`.\n\n{counts}"
    shown = page(replace(describe("strategy", "concat"), doc=doc))
    assert f"\n{formula}\n" in shown
    assert r"A length \|b\| of a\_m\*b, `a_m`." in shown
    assert "- **Parameters**: `2*M`\n- **FLOPs a sample**: `0`\n" in shown


def test_a_strategy_of_ones_own_without_a_family_is_found_by_its_stage() -> None:
    plugin = describe("strategy", "concat")
    assert family(replace(plugin, facts={"stage": "token"})) == "token"
    assert family(replace(plugin, facts={"family": "unheard of"})) == "feature"


def test_only_strategies_have_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "strategies", "--long"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n### {name}\n" in said for name in STRATEGIES)
    assert main(["list", "datasets", "--long"]) == 2
    assert "fusionbench list strategies --long" in capsys.readouterr().err
