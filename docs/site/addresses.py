"""Links of pages that are written for the repository, as they are on the site."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
AT = f"{REPOSITORY}/blob/main"
RAW = REPOSITORY.replace("https://github.com", "https://raw.githubusercontent.com") + "/main"
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
A_FILE = re.compile(r"(docs/)?[\w-]+\.md")
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- (begin|end) [^\n]* -->$", re.MULTILINE)
ITEM = re.compile(r"^(?P<before>[^\n|#>\-\s][^\n]*)\n(?=- )", re.MULTILINE)


def on_site(text: str, source: str, places: Mapping[str, str]) -> str:
    """A page's Markdown with links from its place on the site.

    Args:
        text: the page.
        source: where it lies in the repository.
        places: for every page of the repository that is on the site, where it is there.

    Raises:
        ValueError: it links to what the repository does not have.
    """
    parts = FENCE.split(text)  # Code is left as it is: every second part.
    return "".join(part if index % 2 else _prose(part, source, places) for index, part in enumerate(parts))


def _prose(text: str, source: str, places: Mapping[str, str]) -> str:
    text = MARK.sub("", text)
    text = ITEM.sub(r"\g<before>\n\n", text)  # GitHub begins a list below a paragraph, mkdocs needs a blank line.
    return LINK.sub(lambda found: _link(found["text"], found["target"], source, places), text)


def _link(text: str, target: str, source: str, places: Mapping[str, str]) -> str:
    """A link; one that shows the name of a file shows the title of its page."""
    named = os.path.normpath(Path(source).parent / unquote(target.partition("#")[0]))
    if A_FILE.fullmatch(text) and named in places and (ROOT / named).is_file():
        heading = (ROOT / named).read_text(encoding="utf-8").partition("\n")[0]
        text = heading.lstrip("# ").partition(":")[0]
    return f"[{text}]({_linked(target, source, places)})"


def _linked(target: str, source: str, places: Mapping[str, str]) -> str:
    path, _, anchor = target.partition("#")
    for prefix in (f"{AT}/", f"{RAW}/", f"{REPOSITORY}/tree/main/"):
        if path.startswith(prefix):
            path = os.path.relpath(unquote(path.removeprefix(prefix)), Path(source).parent)
    if "://" in path or path.startswith("mailto:") or not path:
        return target
    named = os.path.normpath(Path(source).parent / unquote(path))
    there = places.get(named)
    if named == "docs/strategies.md" and anchor:
        there, anchor = f"strategies/{anchor}.md", ""
    here = Path(places[source]).parent
    if there is not None:
        return quote(os.path.relpath(there, here)) + (f"#{anchor}" if anchor else "")
    if not (ROOT / named).exists():
        raise ValueError(f"{source} links to {target}, which is not there")
    kind = "tree" if (ROOT / named).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{quote(named)}"
