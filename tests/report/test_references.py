"""Every paper that a strategy, an encoder, a dataset or a measure names can be cited."""

from __future__ import annotations

import re
from typing import cast

import pytest
from bibtexparser.entrypoint import parse_string

from fusionbench.core.catalogue import PluginKind, describe, names
from fusionbench.core.plugin_places import PACKAGE
from fusionbench.plan.tuned import PAPERS
from fusionbench.report.cite import papers_of

KINDS = cast(tuple[PluginKind, ...], ("strategy", "encoder", "dataset", "measure"))
LIBRARY = parse_string((PACKAGE / "report" / "references.bib").read_text(encoding="utf-8"))
NAMED = {
    (kind, name, paper): paper for kind in KINDS for name in names(kind) for paper in papers_of(describe(kind, name))
}


def test_the_file_parses_without_a_damaged_or_double_entry() -> None:
    assert LIBRARY.failed_blocks == []
    assert len(LIBRARY.entries) == len(LIBRARY.entries_dict)


@pytest.mark.parametrize(("owner", "paper"), NAMED.items(), ids=str)
def test_every_paper_has_an_entry(owner: tuple[str, str, str], paper: str) -> None:
    assert paper in LIBRARY.entries_dict, f"{' '.join(owner[:2])} names {paper}, which references.bib does not have"


def test_no_entry_is_left_over() -> None:
    assert set(LIBRARY.entries_dict) == set(NAMED.values()) | set(PAPERS)


@pytest.mark.parametrize("key", sorted(LIBRARY.entries_dict))
def test_an_entry_says_who_what_when_and_where_it_was_seen(key: str) -> None:
    fields = {name: field.value for name, field in LIBRARY.entries_dict[key].fields_dict.items()}
    assert {"title", "author", "year", "note"} <= set(fields)
    assert fields["note"].startswith("Seen: ") or fields["note"] == "unverified"
    assert {"doi", "eprint", "booktitle", "journal", "howpublished"} & set(fields)
    assert re.search(r"\d{4}", key)[0] == fields["year"]  # type: ignore[index]


def test_a_trained_strategy_names_a_paper_or_says_that_there_is_none() -> None:
    for name in names("strategy"):
        plugin = describe("strategy", name)
        assert plugin.facts.get("paper") or "\nSource: none" in plugin.doc, name


def test_a_strategy_that_departs_from_its_paper_says_how() -> None:
    for name in names("strategy"):
        facts = describe("strategy", name).facts
        if facts.get("fidelity", "faithful") != "faithful":
            assert facts.get("departure"), name
