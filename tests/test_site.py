"""The site's own pages and its check of links; `make docs` builds all of it, strictly."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fusionbench.core.catalogue import names
from fusionbench.plan.source import shipped_suites

ROOT = Path(__file__).parent.parent
HERE = ROOT / "docs" / "site"


@pytest.fixture(scope="module")
def site() -> Iterator[dict[str, ModuleType]]:
    modules = ("addresses", "pages", "links")
    sys.path.insert(0, str(HERE))
    try:
        yield {name: importlib.import_module(name) for name in modules}
    finally:
        sys.path.remove(str(HERE))
        for name in modules:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def strategies(site: dict[str, ModuleType]) -> dict[str, str]:
    return dict(site["pages"].strategy_pages())


@pytest.mark.parametrize("name", names("strategy"))
def test_a_strategy_has_a_page_with_formula_source_and_where_it_stands(name: str, strategies: dict[str, str]) -> None:
    text = strategies[f"strategies/{name}.md"]
    assert text.startswith(f"# {name}\n")
    assert re.search(r"^    .* = ", text, re.MULTILINE)
    assert "- **Source**: " in text
    assert "## Where it stands" in text
    assert f"({name}.md)" in strategies["strategies/index.md"]


def test_where_a_strategy_stands_is_what_the_published_table_shows(strategies: dict[str, str]) -> None:
    rows = [line for line in strategies["strategies/late.md"].splitlines() if "quickstart/digits/table.md" in line]
    table = (ROOT / "results/quickstart/digits/table.md").read_text(encoding="utf-8").splitlines()
    ranked = [line.split(" | ") for line in table if line.startswith("| `")]
    (number,) = [number for number, row in enumerate(ranked, 1) if row[0] == "| `late`"]
    assert len(rows) == 1
    assert f"| accuracy {ranked[number - 1][2]} | {number} of {len(ranked)} |" in rows[0]


def test_a_data_set_has_a_page_with_its_admission_lines(site: dict[str, ModuleType]) -> None:
    found = dict(site["pages"].dataset_pages())
    assert set(found) == {f"data/{name}.md" for name in names("dataset")}
    admission = (ROOT / "results/quickstart/digits/table.md").read_text(encoding="utf-8").splitlines()[3]
    assert admission.startswith("Admission")
    assert admission in found["data/digits.md"]
    assert "No table of it is published" in found["data/manifest.md"]


def test_every_shipped_suite_and_every_public_name_is_on_a_page(site: dict[str, ModuleType]) -> None:
    text = site["pages"].suites_page()
    assert all(f"\n## {name}\n" in text for name in shipped_suites())
    reference = "".join(text for _, _, text in site["pages"].reference_pages())
    for name in ("fusionbench.api.comparison.compare", "fusionbench.fusion.base.FusionModule"):
        assert f"::: {name}\n" in reference


def test_links_of_a_page_are_those_of_the_site(site: dict[str, ModuleType]) -> None:
    addresses = site["addresses"]
    places = {"README.md": "index.md", "docs/suites.md": "suites.md", "docs/strategies.md": "strategies/index.md"}
    text = (
        "[a](docs/suites.md#tracks) [b](docs/strategies.md#gated) [c](Makefile) [d](tests) [e](https://a.org/x)\n"
        f"[f]({addresses.AT}/docs/suites.md)\na list:\n- one\n\n```\n[g](nowhere)\n```\n"
    )
    assert addresses.on_site(text, "README.md", places) == (
        f"[a](suites.md#tracks) [b](strategies/gated.md) [c]({addresses.AT}/Makefile) "
        f"[d]({addresses.REPOSITORY}/tree/main/tests) [e](https://a.org/x)\n"
        "[f](suites.md)\na list:\n\n- one\n\n```\n[g](nowhere)\n```\n"
    )
    assert addresses.on_site("see [docs/suites.md](docs/suites.md)", "README.md", places) == "see [Suites](suites.md)"
    with pytest.raises(ValueError, match=r"links to nowhere\.md, which is not there"):
        addresses.on_site("[h](nowhere.md)", "README.md", places)


def test_every_kind_of_broken_link_is_found(site: dict[str, ModuleType], tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="x"></h1><a href="#x"></a><a href="b.html#y"></a><a href="https://a.org"></a><img src="c.png">'
    )
    (tmp_path / "b.html").write_text('<p id="y"></p><a href="sub/"></a>')
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<a href="../a.html"></a>')
    assert site["links"].broken(tmp_path) == ([], 6, 3)
    repository = site["addresses"].REPOSITORY
    faults = {
        '<a href="nowhere.html"></a>': "not there",
        '<a href="b.html#z"></a>': "no such anchor",
        '<script src="https://a.org/x.js"></script>': "is loaded from elsewhere",
        '<a href="javascript:alert(1)"></a>': "a link of javascript",
        f'<a href="{repository}/blob/main/nowhere"></a>': "not in the repository",
    }
    for html, said in faults.items():
        (tmp_path / "d.html").write_text(html)
        (line,) = site["links"].broken(tmp_path)[0]
        assert line.startswith("d.html: ")
        assert line.endswith(said)
