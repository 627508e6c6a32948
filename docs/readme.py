"""Fills the README's generated blocks and writes docs/strategies.md: no table or number there is typed by hand.

    python docs/readme.py

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`: `list strategies` and the like are what
`fusionbench list` prints; `demo` is the terminal's table of results/quickstart; `table SUITE DATASET` is that table.md,
`overview SUITE` its overview.md.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from fusionbench.cli.listing import listing, strategy_pages
from fusionbench.plan.load import load_suite
from fusionbench.records.store import Store
from fusionbench.report.layout import narrow
from fusionbench.report.tables import tables

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?P<begin><!-- begin (?P<name>[^\n]+?) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)
COLUMNS = 96


def refreshed(text: str) -> str:
    """The text with every block made anew."""
    return BLOCK.sub(lambda found: found["begin"] + _block(found["name"]) + found["end"], text)


def _block(name: str) -> str:
    match name.split():
        case ["list", what]:
            return listing(what) + "\n"
        case ["demo"]:
            return f"```\n{_terminal('quickstart')}```\n"
        case ["table", suite, dataset]:
            return _table(ROOT / "results" / suite / dataset / "table.md")
        case ["overview", suite]:
            return _table(ROOT / "results" / suite / "overview.md")
    raise ValueError(f"the README asks for '{name}'; known: list WHAT, demo, table SUITE DATASET, overview SUITE")


def _terminal(name: str) -> str:
    suite = load_suite(name)
    text = io.StringIO()
    console = Console(file=text, width=COLUMNS, color_system=None)
    for table in tables(suite, Store(ROOT / "results", suite.name)):
        console.print(narrow(table), end="\n\n")
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


def _table(path: Path) -> str:
    """The table alone: its title and caption stay in the file."""
    return "".join(line + "\n" for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


if __name__ == "__main__":
    (ROOT / "docs" / "strategies.md").write_text(strategy_pages(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(refreshed(readme.read_text(encoding="utf-8")), encoding="utf-8")
