"""The README: its tables are generated, its code runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from fusionbench.cli.main import main
from fusionbench.core.catalogue import describe
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_block_is_what_the_records_and_the_catalogue_say_now() -> None:
    assert generator().refreshed(README) == README, "run: python docs/readme.py"
    assert README.count("<!-- begin ") == 7


def test_the_top_of_a_table_keeps_what_its_page_begins_with_and_links_from_here() -> None:
    found = generator().refreshed("<!-- begin top 3 quickstart digits -->\n<!-- end top 3 quickstart digits -->")
    lines = found.splitlines()[1:-1]
    assert sum(line.startswith("|") for line in lines) == 5
    assert lines[6].startswith("Admission (accuracy; ")
    assert "[order.md](results/quickstart/digits/order.md)" in found
    page = generator().refreshed("<!-- begin order quickstart digits -->\n<!-- end order quickstart digits -->")
    assert "| seeds 0-2 and seeds 3-5 | 8 | " in page


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_example_suite_plans() -> None:
    suite = suite_of(parse_source(blocks("yaml")[0], "README.md"))
    assert len(suite.seeds) == 6
    assert len(suite.rows) == 6 + 7 + 6


def test_the_example_of_tracks_plans() -> None:
    suite = suite_of(parse_source(f"name: x\ndatasets: [digits]\nstrategies: [concat]\n{blocks('yaml')[1]}", "x"))
    assert [track.options.get("target") for track in suite.tracks] == [None, None, 1_000_000]


def test_the_example_of_a_comparison_plans() -> None:
    suite = suite_of(parse_source(f"name: x\ndatasets: [digits]\nstrategies: [concat]\n{blocks('yaml')[2]}", "x"))
    assert suite.compare_with == ("cifar10_frozen_4x", "cifar10_frozen_unnormalised")


def test_the_example_of_encoders_trained_beforehand_plans() -> None:
    dataset = "{name: imdb_cifar10, options: {relation: synergy}}"
    suite = suite_of(parse_source(f"name: x\ndatasets: [{dataset}]\nstrategies: [concat]\n{blocks('yaml')[3]}", "x"))
    assert next(iter(suite.runs())).pretrained == ("image",)


def test_every_command_shown_is_one_that_the_program_knows(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = re.findall(r"^fusionbench (\w+)", README, re.MULTILINE)
    assert len(verbs) >= 8
    for verb in set(verbs):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0


def test_the_strategy_of_ones_own_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [block for block in blocks("python") if "ProductFusion" in block]
    (tmp_path / "mine_readme").mkdir()
    (tmp_path / "mine_readme" / "product.py").write_text(text)
    (tmp_path / "s.yaml").write_text(
        "{name: s, datasets: [digits], strategies: [mine_readme.product], seeds: 1, budget: {epochs: 1}}"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "data").mkdir()
    assert main(["run", "s.yaml", "--data", "data"]) == 0
    assert "Product" in describe("strategy", "mine_readme.product").doc


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.parametrize("name", ["layer", "Trainer"])
def test_the_code_for_ones_own_program_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [block for block in blocks("python") if f"import {name}" in block]
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path))
    found: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), found)
    if name == "layer":
        assert found["logits"].shape == (4, 10)  # type: ignore[attr-defined]
    else:
        assert found["trainer"].callback_metrics["test/accuracy"] > 0.5  # type: ignore[attr-defined]
