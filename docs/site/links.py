"""Every link of a built site: leads somewhere, to an anchor that is there, and nothing is loaded from elsewhere.

python docs/site/links.py build/site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from addresses import REPOSITORY, ROOT

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself."""
NO_LOAD = ("canonical", "next", "prev", "alternate")


class Page(HTMLParser):
    """The links of a page and the anchors in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collect."""
        found = {name: value or "" for name, value in attributes}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in LOADED and found.get(LOADED[tag]) and found.get("rel") not in NO_LOAD:
            self.loaded.append(found[LOADED[tag]])


def broken(folder: Path) -> tuple[list[str], int, int]:
    """What is wrong, a line each; how many links and how many pages there are."""
    folder = folder.resolve()
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    faults: list[str] = []
    count = 0
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            count += 1
            if said := _fault(link, path, folder, pages, loaded=link in page.loaded):
                faults.append(f"{path.relative_to(folder)}: {link}: {said}")
    return faults, count, len(pages)


def _fault(link: str, path: Path, folder: Path, pages: dict[Path, Page], *, loaded: bool) -> str:
    parts = urlsplit(link)
    if link.startswith("data:"):
        return ""
    if parts.scheme or parts.netloc:
        return "is loaded from elsewhere" if loaded else _fault_outside(link, parts.scheme)
    target = (folder / parts.path.lstrip("/") if parts.path.startswith("/") else path.parent / parts.path).resolve()
    target = Path(unquote(str(target))) if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if path.name == "404.html" and parts.path.startswith("/"):
        return ""  # It is served from any depth.
    if not target.is_file():
        return "not there"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "no such anchor"
    return ""


def _fault_outside(link: str, scheme: str) -> str:
    """Other servers are not asked; of the repository it is known what is there."""
    if scheme not in ("http", "https", "mailto"):
        return f"a link of {scheme}"
    for kind in ("blob", "tree"):
        if link.startswith(begins := f"{REPOSITORY}/{kind}/main/"):
            named = unquote(urlsplit(link.removeprefix(begins)).path)
            return "" if (ROOT / named).exists() else "not in the repository"
    return ""


if __name__ == "__main__":
    found, links, pages = broken(Path(sys.argv[1]))
    for line in found:
        print(line)
    print(f"{pages} pages, {links} links, {len(found)} broken")
    sys.exit(bool(found))
