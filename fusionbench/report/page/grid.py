"""The table of a page: the columns that the report knows, and all other scores, to be sorted, filtered and switched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusionbench.report.collect import facts_of
from fusionbench.report.families import HEADINGS, family
from fusionbench.report.layout import Column, columns
from fusionbench.report.numbers import score
from fusionbench.report.page.texts import number_of, shown
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import title

FILTERS = ("family", "fidelity", "interaction")
NO_PAPER, UNKNOWN = "no paper", "not known"


Shown = Sequence[tuple[Column, bool]]
"""Columns, and whether they are there at first."""


def controls(rows: Sequence[TableRow], found: Shown) -> str:
    """What filters the rows and switches the columns."""
    facts = [row_facts(row) for row in rows]
    chosen = "".join(_choice(name, [found[name] for found in facts]) for name in FILTERS)
    switches = "".join(
        f'<label><input type="checkbox" data-column="{at}"{" checked" * is_on}> {shown(column.heading)}</label>'
        for at, (column, is_on) in enumerate(found)
    )
    return (
        '<div class="controls"><label>find <input type="search" data-filter="text" placeholder="a name"></label>'
        f'{chosen}<button type="button" data-clear>all rows</button>'
        f'<output aria-live="polite">{len(rows)} of {len(rows)} rows</output>'
        f'<details class="columns"><summary>columns</summary><div>{switches}</div></details></div>'
    )


def grid(rows: Sequence[TableRow], found: Shown, name: str) -> str:
    """A table as HTML.

    Args:
        rows: in the report's order.
        found: its columns.
        name: for those who do not see it.
    """
    head = "".join(
        f'<th scope="col" class="{_side(column)}" aria-sort="none"{_hidden(is_on)}>'
        f'<button type="button">{shown(column.heading)}</button></th>'
        for column, is_on in found
    )
    body = "\n".join(f"<tr{attributes(row)}>{''.join(_cells(row, found))}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{shown(name)}"><table class="grid">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def columns_of(table: Table) -> Shown:
    """All columns: those of the report are there at first, scores that it leaves out are not."""
    usual = columns(table)
    names = dict.fromkeys(name for row in table.rows for name in row.scores)
    others = [name for name in names if name != table.metric and name not in table.beside]
    return [(column, True) for column in usual] + [(_score(name), False) for name in others]


def attributes(row: TableRow) -> str:
    """What a row is filtered by."""
    facts = {"strategy": row.strategy, "text": f"{row.strategy} {row.title}".lower(), **row_facts(row)}
    return "".join(f' data-{name}="{shown(value)}"' for name, value in facts.items())


def row_facts(row: TableRow) -> dict[str, str]:
    """A strategy's family, fidelity and interaction, in words."""
    facts = facts_of(row.outcomes[0].run.strategy)
    heading = HEADINGS[family(facts)] if facts else UNKNOWN
    fidelity = row.fidelity or (NO_PAPER if facts else UNKNOWN)
    return {"family": heading, "fidelity": fidelity, "interaction": row.interaction or UNKNOWN}


def _choice(name: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{shown(value)}</option>" for value in dict.fromkeys(sorted(values)))
    return f'<label>{name} <select data-filter="{name}"><option value="">all</option>{options}</select></label>'


def _cells(row: TableRow, found: Shown) -> Iterator[str]:
    for column, is_on in found:
        text = column.cell(row)
        number = None if column.left or column.form != "number" else number_of(text)
        value = "" if number is None else f' data-v="{number!r}"'
        yield f'<td class="{_side(column)}"{value}{_hidden(is_on)}>{_marked(column, row, shown(text))}</td>'


def _marked(column: Column, row: TableRow, text: str) -> str:
    if column.form == "code":
        return f"<code>{text}</code>"
    if not column.ranks:
        return text
    return f"<b>{text}</b>" if row.best else f"{text} {shown(row.mark)}".rstrip()


def _side(column: Column) -> str:
    return "words" if column.form == "words" else "left" if column.left else "right"


def _hidden(is_on: bool) -> str:
    return "" if is_on else " hidden"


def _score(name: str) -> Column:
    part = "" if name.startswith("test/") else f"{name.partition('/')[0]} "
    return Column(f"{part}{title(name)}", lambda row: score(row.scores.get(name)))
