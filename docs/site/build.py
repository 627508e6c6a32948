"""Builds the site: pages of docs/, README and the like, and pages that are made; then checks every link.

    python docs/site/build.py [FOLDER]        default: build/site

Needs the extras `docs` and `page`, and no network. Exits 1, and says where, if a page links to what is not there.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import yaml
from addresses import REPOSITORY, ROOT, on_site
from links import broken

HERE = Path(__file__).parent
OTHERS = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie elsewhere, and where they are on the site."""


def places() -> dict[str, str]:
    """For every page of the repository that is on the site, where it is there."""
    docs = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    published = {path.relative_to(ROOT).as_posix(): place for place, path in pages.published_files()}
    suites = {f"results/{name}": f"published/{name}/index.md" for name in pages.published_suites()}
    return docs | {"docs/strategies.md": "strategies/index.md"} | OTHERS | published | suites


def assemble(folder: Path) -> dict[str, Any]:
    """Write all pages and files into a folder; the navigation of those that are made, by their name in mkdocs.yml."""
    known = places()
    for source, place in known.items():
        if source.endswith(".md") and source != "docs/strategies.md":
            text = on_site((ROOT / source).read_text(encoding="utf-8"), source, known)
            write(folder / place, pages.as_page(text) if source.startswith("results/") else text)
        elif (ROOT / source).is_file() and source != "docs/strategies.md":
            write(folder / place, (ROOT / source).read_bytes())
    write(folder / "site.css", (HERE / "site.css").read_bytes())
    write(folder / "shipped_suites.md", pages.suites_page())
    made = {"STRATEGIES": list(put(folder, pages.strategy_pages())), "DATASETS": ["datasets.md"]}
    made["DATASETS"] += put(folder, pages.dataset_pages())
    made["PUBLISHED"] = []
    for place, path in pages.report_pages(folder.with_name("results")):
        write(folder / place, path.read_bytes())
    for name in pages.published_suites():
        write(folder / f"published/{name}/index.md", pages.published_index(name))
        tables = [f"published/{path.relative_to(pages.RESULTS).as_posix()}" for path in pages.tables()]
        mine = [place for place in tables if place.startswith(f"published/{name}/")]
        made["PUBLISHED"].append({name: [f"published/{name}/index.md", *mine]})
    made["REPOSITORY"] = REPOSITORY
    made["REFERENCE"] = []
    for title, place, text in pages.reference_pages():
        write(folder / place, text)
        made["REFERENCE"].append({title[:1].upper() + title[1:]: place})
    return made


def put(folder: Path, found: Iterator[tuple[str, str]]) -> Iterator[str]:
    """Write pages; their places."""
    for place, text in found:
        write(folder / place, text)
        yield place


def write(path: Path, content: str | bytes) -> None:
    """A file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def configuration(made: dict[str, Any], folder: Path, site: Path) -> dict[str, Any]:
    """That of mkdocs, with the pages that are made in its navigation."""
    found = yaml.safe_load((HERE / "mkdocs.yml").read_text(encoding="utf-8"))
    found |= {"docs_dir": str(folder), "site_dir": str(site)}
    for plugin in found["plugins"]:
        if isinstance(plugin, dict):
            handler = plugin["mkdocstrings"]["handlers"]["python"]
            handler["paths"], handler["options"]["extensions"] = [str(ROOT)], [str(HERE / "doctests.py")]
    found["nav"] = [_filled(part, made) for part in found["nav"]]
    return found


def _filled(part: Any, made: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        return {name: _filled(value, made) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(one, made) for one in part]
    return made.get(part, part)


def main(site: Path) -> int:
    """Build and check; the exit code."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    started = time.monotonic()
    site = site.resolve()  # mkdocs reads a relative folder from where its settings lie
    work = site.with_name(f"{site.name}-pages")
    shutil.rmtree(work, ignore_errors=True)
    made = assemble(work / "pages")
    settings = work / "mkdocs.yml"
    settings.write_text(yaml.safe_dump(configuration(made, work / "pages", site)), encoding="utf-8")
    try:
        build(load_config(str(settings)))
    except Abort as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    faults, links, count = broken(site)
    for line in faults:
        print(line, file=sys.stderr)
    print(f"{site}: {count} pages, {links} links, {len(faults)} broken, {time.monotonic() - started:.0f} s")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if sys.argv[1:] else ROOT / "build" / "site")))
