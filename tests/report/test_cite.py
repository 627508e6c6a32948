"""`fusionbench cite`: exactly what a suite uses, as BibTeX that another program reads."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from bibtexparser.entrypoint import parse_string
from bibtexparser.library import Library

from fusionbench.cli.main import main
from fusionbench.core.catalogue import PluginKind, describe, names
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source, shipped_suites
from fusionbench.plan.suite import Suite
from fusionbench.report.cite import REFERENCES, bibliography, entries, papers_of

TEXT = REFERENCES.read_text(encoding="utf-8")
SHIPPED = parse_string(TEXT)
KINDS: tuple[PluginKind, ...] = ("dataset", "strategy", "encoder", "measure")
ROOT = Path(__file__).parent.parent.parent


def suite(strategies: str, more: str = "") -> Suite:
    return suite_of(parse_source(f"name: mine\ndatasets: [digits]\nstrategies: [{strategies}]\nseeds: 2\n{more}", "x"))


def parsed(text: str) -> Library:
    library = parse_string(text)
    assert library.failed_blocks == []
    return library


def test_every_entry_of_the_file_is_found_as_another_parser_finds_it() -> None:
    assert set(entries()) == set(SHIPPED.entries_dict)
    for key, text in entries().items():
        assert text.replace("  annote = ", "  note = ") in TEXT + "\n"
        (entry,) = parsed(text).entries
        fields = {name: field.value for name, field in SHIPPED.entries_dict[key].fields_dict.items()}
        assert {name: field.value for name, field in entry.fields_dict.items()} == {
            ("annote" if name == "note" else name): value for name, value in fields.items()
        }


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)], ids=str)
def test_each_shipped_plugin_with_a_paper_has_an_entry(kind: PluginKind, name: str) -> None:
    assert set(papers_of(describe(kind, name))) <= set(entries())


def test_a_suite_cites_what_it_uses_and_nothing_else() -> None:
    text = bibliography(suite("gated, late, chance").runs())
    assert list(parsed(text).entries_dict) == [
        "alpaydin1998digits", "arevalo2017gated", "fusionbench", "kiela2020hateful", "wu2018group",
    ]  # fmt: skip
    assert "% strategy gated\n@misc{arevalo2017gated," in text


def test_another_encoder_is_another_paper_and_one_that_nothing_uses_is_none() -> None:
    keys = parsed(bibliography(suite("concat", "encoders: {image: mlp}\n").runs())).entries_dict
    assert "rumelhart1986learning" in keys
    assert "wu2018group" not in keys
    assert list(parsed(bibliography(suite("chance").runs())).entries_dict) == ["alpaydin1998digits", "fusionbench"]


def test_a_paper_that_several_plugins_share_stands_there_once() -> None:
    text = bibliography(suite("concat, late").runs())
    assert "% strategy concat, strategy late\n@inproceedings{kiela2020hateful," in text
    assert text.count("kiela2020hateful") == 1


def test_the_track_that_searches_is_cited_where_it_does() -> None:
    tracks = "tracks: [same_encoders, tuned]\n"
    text = bibliography(suite("concat", tracks).runs())
    assert "% track tuned\n@inproceedings{dodge2019show," in text
    assert {"sobol1967distribution", "tang2020showing"} <= set(parsed(text).entries_dict)
    for other in (suite("concat"), suite("chance", tracks)):  # Of chance there is nothing to tune.
        assert "dodge2019show" not in parsed(bibliography(other.runs())).entries_dict


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_can_be_cited_and_is_sorted(name: str) -> None:
    found = parsed(bibliography(load_suite(name).runs()))
    keys = list(found.entries_dict)
    assert keys == sorted(keys)
    assert len(keys) == len(found.entries) >= 3  # fusionbench, data, encoder: not every suite names a strategy's paper.
    assert all("note" not in e.fields_dict for e in found.entries if e.key != "fusionbench")


def test_its_own_entry_says_what_the_citation_file_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    own = parsed(bibliography(suite("chance").runs())).entries_dict["fusionbench"].fields_dict
    assert own["title"].value == f"{{{citation['title']}}}"
    assert own["author"].value == "{" + " and ".join(author["name"] for author in citation["authors"]) + "}"
    assert version("multimodal-fusionbench") == citation["version"]
    assert f"version {citation['version']}, {citation['license']} licence" in own["note"].value


def test_a_paper_of_the_users_own_is_named_in_a_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cited_here").mkdir()
    source = (ROOT / "fusionbench" / "fusion" / "concat.py").read_text(encoding="utf-8")
    (tmp_path / "cited_here" / "own.py").write_text(source.replace("kiela2020hateful", "me2026own"))
    monkeypatch.syspath_prepend(str(tmp_path))
    text = bibliography(suite("cited_here.own, late").runs())
    assert "me2026own" not in parsed(text).entries_dict
    assert text.endswith("% strategy cited_here.own: no entry 'me2026own' here; cite it yourself\n")


def test_the_command_prints_it_and_only_chooses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "quickstart", "--only", "strategy=gated"]) == 0
    out = capsys.readouterr().out
    assert "arevalo2017gated" in parsed(out).entries_dict
    assert "kittler1998combining" not in out
