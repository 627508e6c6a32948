"""Whether what stands in files is what the records say now: the files of a report, and blocks of tables in pages.

A page of Markdown may hold blocks between `<!-- begin NAME -->` and `<!-- end NAME -->`:

    table SUITE DATASET     the table of that table.md; `order` of order.md; `overview SUITE` of overview.md
    top N SUITE DATASET     its first rows without the columns that captions explain, and the sentences it begins with
    demo N                  the terminal's table of the Nth data set of the suite quickstart

One word more, a track's name, takes the files of that track. Blocks of other names are left alone here.
"""

from __future__ import annotations

import io
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.layout import narrow
from fusionbench.report.making import made_report
from fusionbench.report.tables import tables

BLOCK = re.compile(r"(?P<begin><!-- begin (?P<name>[^\n]+?) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\(([^)/]+)\)")
PICTURE = re.compile(r"\n\n!\[[^\n]*\]\([^\n]*\)(\n\nBest of n: [^\n]+(\n[^\n]+)*)?")
"""A picture, and what tuned_page.py says below its own."""
SHORT = (
    "strategy",
    "name",
    "over best single",
    "over late",
    "fusion parameters",
    "FLOPs a sample",
    "front",
    "seeds",
    "notes",
)
"""Columns of the first rows of a table, besides its score, the third: those that need no caption to be read."""
COLUMNS = 96
DEMO = "quickstart"


def stale_files(suite: Suite, store: Store) -> Iterator[str]:
    """One line for each file of the suite's report that is not what its records say; pictures are not drawn for it."""
    report = made_report(suite, store, draw=False)
    for path, content in report.files:
        if not path.exists():
            yield f"{path}: missing; `fusionbench report {suite.name} --results {store.root.parent}` writes it"
        elif _without_pictures(path, path.read_bytes()) != _without_pictures(path, content):
            yield f"{path}: not what the records say; `fusionbench report {suite.name} --results {store.root.parent}`"


def stale_pages(root: Path) -> Iterator[str]:
    """One line for each block of tables, in pages beside a results folder, that is not what the results say.

    Args:
        root: the results folder; README.md and docs/*.md beside it are looked at.
    """
    checkout = root.resolve().parent
    if root.resolve().name != "results":
        return
    for path in [checkout / "README.md", *sorted((checkout / "docs").glob("*.md"))]:
        for found in BLOCK.finditer(path.read_text(encoding="utf-8")) if path.is_file() else ():
            try:
                made = block(found["name"], checkout, path.parent)
            except (OSError, ValueError, IndexError, StopIteration, UserError) as error:
                yield f"{path}: block '{found['name']}' cannot be made: {' '.join(str(error).split())}"
                continue
            if made is not None and found["begin"] + made + found["end"] != found[0]:
                yield f"{path}: block '{found['name']}' is not what the results say; `python docs/readme.py`"


def block(name: str, checkout: Path, folder: Path) -> str | None:
    """What stands in a block of tables; None of one that has another name.

    Args:
        name: as it is begun.
        checkout: the folder above `results`.
        folder: where the page lies, which links lead from.
    """
    results = checkout / "results"
    match name.split():
        case ["demo", number]:
            return f"```\n{_terminal(results, int(number))}```\n"
        case [("table" | "order") as what, suite, dataset, *track]:
            return table_of(_page(results, what, suite, dataset, track))
        case ["top", count, suite, dataset, *track]:
            return _top(int(count), _page(results, "table", suite, dataset, track), checkout, folder)
        case ["overview", suite]:
            return table_of(results / suite / "overview.md")
    return None


def refreshed(text: str, made: Callable[[str], str]) -> str:
    """A page with every block made anew."""
    return BLOCK.sub(lambda found: found["begin"] + made(found["name"]) + found["end"], text)


def table_of(path: Path) -> str:
    """The table alone: its title and caption stay in the file."""
    return "".join(line + "\n" for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


def address_of(checkout: Path) -> str:
    """Of the repository, as its pyproject.toml states it; empty without one."""
    try:
        found = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return ""
    return str(found.get("project", {}).get("urls", {}).get("Repository", ""))


def _without_pictures(path: Path, content: bytes) -> bytes:
    return PICTURE.sub("", content.decode()).encode() if path.suffix == ".md" else content


def _terminal(results: Path, number: int) -> str:
    suite = load_suite(DEMO)
    text = io.StringIO()
    table = list(tables(suite, Store(results, suite.name, read_only=True)))[number - 1]
    Console(file=text, width=COLUMNS, color_system=None).print(narrow(table))
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


def _page(results: Path, what: str, suite: str, dataset: str, track: list[str]) -> Path:
    return results / suite / dataset / f"{'-'.join([what, *track])}.md"


def _top(count: int, path: Path, checkout: Path, place: Path) -> str:
    """The head and the first rows of a table, and below them what its page begins with, links from that place."""
    lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in table_of(path).splitlines()[: 2 + count]]
    kept = [place for place, heading in enumerate(lines[0]) if heading in SHORT or place == 2]
    rows = [f"| {' | '.join(line[place] for place in kept)} |" for line in lines]
    text = path.read_text(encoding="utf-8").splitlines()
    first = text[2 : next(number for number, line in enumerate(text) if line.startswith("|"))]
    folder = Path(os.path.relpath(path.parent, place)).as_posix()
    if place == checkout and (address := address_of(checkout)):  # The README is the package index's page, too.
        folder = f"{address}/blob/main/{path.parent.relative_to(checkout).as_posix()}"
    said = [LINK.sub(rf"[\1]({folder}/\2)", line) for line in first if line]
    return "".join(f"{line}\n" for line in [*rows, *([""] if said else []), *said])
