"""The README and the pages of docs/: their tables are generated, their links lead somewhere, their code runs."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fusionbench.cli.main import main
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Suite

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
TOP = "<!-- begin top 3 quickstart digits -->\n<!-- end top 3 quickstart digits -->"
A_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def text_of(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def suite_with(page: str, number: int, dataset: str) -> Suite:
    """A suite of one dataset and concat that ends in the page's example of so many."""
    start = f"name: x\ndatasets: [{dataset}]\nstrategies: [concat]\n"
    return suite_of(parse_source(start + blocks(page, "yaml")[number], page))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_block_is_what_the_records_and_the_catalogue_say_now() -> None:
    pages = generator().pages()
    stale = [page.name for page in pages if generator().refreshed(text_of(page), page.parent) != text_of(page)]
    assert stale == [], "run: python docs/readme.py"
    assert sum(text_of(page).count("<!-- begin ") for page in pages) >= 7


def test_the_readme_is_read_in_minutes() -> None:
    assert len(text_of(README).splitlines()) <= 200


def test_the_readme_is_a_page_of_the_package_index_too() -> None:
    """Its links lead to the repository from wherever it is shown, and there to what is in it."""
    address = generator().ADDRESS
    raw = address.replace("https://github.com", "https://raw.githubusercontent.com")
    links = A_LINK.findall(text_of(README))
    assert [link for link in links if not link.startswith("https://")] == []
    ours = [link for link in links if link.startswith((address, raw))]
    paths = [re.sub(r"^(/blob|/tree)?/main/", "", link.removeprefix(address).removeprefix(raw)) for link in ours]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert len(paths) >= 15
    assert f"repository-code: {address}\n" in text_of("CITATION.cff")


def test_the_repository_moves_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = generator()
    for name in ("README.md", "CITATION.cff"):
        (tmp_path / name).write_text(text_of(name), encoding="utf-8")
    before = (tmp_path / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "CITATION", tmp_path / "CITATION.cff")
    script.move()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == before
    address = script.ADDRESS
    monkeypatch.setattr(script, "ADDRESS", "https://github.com/somebody/else")
    script.move()
    for name in ("README.md", "CITATION.cff"):
        moved = (tmp_path / name).read_text(encoding="utf-8")
        assert address.removeprefix("https://github.com") not in moved
        assert moved.count("github.com/somebody/else") >= 1
    assert "raw.githubusercontent.com/somebody/else/main" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_top_of_a_table_keeps_what_its_page_begins_with_and_links_from_here() -> None:
    found = generator().refreshed(TOP)
    lines = found.splitlines()[1:-1]
    assert sum(line.startswith("|") for line in lines) == 5
    assert lines[0] == (
        "| strategy | name | accuracy | over best single | over late "
        "| fusion parameters | FLOPs a sample | front | seeds |"
    )
    assert lines[6].startswith("Headline: of 10 rows validation picks")
    assert f"[order.md]({generator().ADDRESS}/blob/main/results/quickstart/digits/order.md)" in found
    assert "[order.md](../results/quickstart/digits/order.md)" in generator().refreshed(TOP, ROOT / "docs")
    page = generator().refreshed("<!-- begin order quickstart digits -->\n<!-- end order quickstart digits -->")
    assert "| seeds 0-2 and seeds 3-5 | 8 | " in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    links = [link for link in A_LINK.findall(text_of(page)) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_example_suite_plans() -> None:
    suite = suite_of(parse_source(blocks("README.md", "yaml")[0], "README.md"))
    assert len(suite.seeds) == 6
    assert len(suite.rows) == 6 + 7 + 6


def test_the_example_of_tracks_plans() -> None:
    suite = suite_with("docs/suites.md", 0, "digits")
    assert [track.options.get("target") for track in suite.tracks] == [None, None, 1_000_000, None]


def test_the_example_of_a_search_plans() -> None:
    suite = suite_with("docs/suites.md", 1, "digits")
    assert suite.tracks[1].options["trials"] == 32


def test_the_example_of_a_family_plans() -> None:
    suite = suite_with("docs/suites.md", 2, "digits")
    assert [family.name for family in suite.families] == ["attention"]


def test_the_example_of_an_optimiser_plans() -> None:
    assert suite_with("docs/suites.md", 3, "digits").budget.method == "SGD with momentum 0.9"


def test_the_example_of_a_score_that_ranks_plans() -> None:
    suite = suite_of(parse_source(f"name: x\nstrategies: [concat]\n{blocks('docs/suites.md', 'yaml')[4]}", "x"))
    assert [dataset.metric for dataset in suite.datasets][:2] == ["", "nll"]


def test_the_example_of_a_comparison_plans() -> None:
    suite = suite_with("docs/suites.md", 5, "digits")
    assert suite.compare_with == ("cifar10_frozen_4x", "cifar10_frozen_unnormalised")


def test_the_example_of_a_title_plans_and_the_example_of_a_paper_uses_what_is_there() -> None:
    (text,) = blocks("docs/suites.md", "latex")
    numbers = text_of("results/quickstart/digits/numbers.tex")
    used = re.findall(r"\\(fb\w+)", text)
    assert len(used) == 2
    assert [name for name in used if rf"\newcommand{{\{name}}}" not in numbers] == []
    yaml = blocks("docs/suites.md", "yaml")[-1]
    suite = suite_of(parse_source(f"name: x\nstrategies: [concat]\n{yaml}", "x"))
    assert suite.title_of(suite.datasets[0]) == "Handwritten digits"


def test_the_example_of_encoders_trained_beforehand_plans() -> None:
    dataset = "{name: imdb_cifar10, options: {relation: synergy}}"
    suite = suite_with("docs/encoders.md", 0, dataset)
    assert next(iter(suite.runs())).pretrained == ("image",)


def test_every_command_shown_is_one_that_the_program_knows(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [verb for page in PAGES for verb in re.findall(r"^fusionbench (\w+)", text_of(page), re.MULTILINE)]
    assert len(verbs) >= 8
    for verb in set(verbs):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0


def test_the_network_of_ones_own_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = [block for block in blocks("README.md", "python") if "class Product" in block]
    (tmp_path / "nets.py").write_text(text)
    suite = "{name: s, datasets: [digits], strategies: [concat], seeds: 1, budget: {epochs: 1}}"
    (tmp_path / "s.yaml").write_text(suite)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # A file's folder is searched from then on.
    (tmp_path / "data").mkdir()
    assert main(["run", "s.yaml", "--strategy", "nets.py:Product", "--data", "data"]) == 0
    assert "nets.Product" in capsys.readouterr().out


def test_the_guide_shows_the_network_of_the_readme_and_its_frame_is_of_the_published_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, frame = blocks("docs/guide.md", "python")
    assert [network] == [block for block in blocks("README.md", "python") if "class Product" in block]
    monkeypatch.chdir(ROOT)
    exec(compile(frame, "guide.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mean", "std", "count"]
    assert len(lines) == 13
    key = re.findall(r"verify quickstart/(\w+)", text_of("docs/guide.md"))[0]
    assert len(list((ROOT / "results" / "quickstart").glob(f"*/*/{key}.json"))) == 1


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.parametrize("name", ["layer", "Trainer", "fusionbench"])
def test_the_code_for_ones_own_program_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [block for block in blocks("docs/own_code.md", "python") if f"import {name}\n" in block]
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(text, "own_code.md", "exec"), found)
    if name == "layer":
        assert found["logits"].shape == (4, 10)  # type: ignore[attr-defined]
    elif name == "fusionbench":
        assert len(found["records"]) == 4  # type: ignore[arg-type]
    else:
        assert found["trainer"].callback_metrics["test/accuracy"] > 0.5  # type: ignore[attr-defined]
