r"""The paragraph of a paper that says how a table was made: everything that its caption of three lines leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fusionbench.report.captions import caption
from fusionbench.report.latex import label
from fusionbench.report.notes import parts
from fusionbench.report.opening import opening
from fusionbench.report.tables import Table
from fusionbench.report.typeset import sentence


def methods(table: Table) -> str:
    """One LaTeX paragraph, a sentence a line, strategies by the names that the table has."""
    lines = [
        "% How the table was made; commands of fusionbench may be left out of a paper.",
        rf"{{\sloppy\paragraph{{Methods of Table~\ref{{tab:{label(table)}}}.}}%",
        *map(sentence, paragraph(table)),
        r"\par}",
    ]
    return "\n".join(lines) + "\n"


def paragraph(table: Table) -> Iterator[str]:
    """Its sentences as plain text; what stands between backquotes is a command."""
    for words in (*opening(table), *caption(table), *_notes(table)):
        yield _named(table, words)


def _notes(table: Table) -> Iterator[str]:
    """What is said of rows, each once with all of them."""
    said: dict[str, list[str]] = {}
    for row in table.rows:
        for part in parts(row):
            said.setdefault(part, []).append(f"`{row.strategy}`")
    for part, rows in said.items():
        yield f"{', '.join(rows)}: {part}."


def _named(table: Table, words: str) -> str:
    """With the names of papers in place of the names of suites; the words around them stay."""
    titles = {row.strategy: row.title for row in table.rows}
    return re.sub(r"`([^`]*)`", lambda found: titles.get(found[1], found[0]), words)
