"""A table for a notebook: the columns of table.md as HTML, every sign of a reason or a name escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from fusionbench.report.captions import caption
from fusionbench.report.layout import Column, columns
from fusionbench.report.opening import opening
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import track_title


def page(tables: Sequence[Table], below: Sequence[str] = ()) -> str:
    """All tables one below the other.

    Args:
        tables: what to show.
        below: sentences that stand at the end.
    """
    return "\n".join(
        [*(line for table in tables for line in _lines(table)), *(f"<p>{escape(text)}</p>" for text in below)]
    )


def _lines(table: Table) -> Iterator[str]:
    shown = columns(table)
    yield f"<h4>{escape(f'{table.title}, suite {table.suite}, track {track_title(table.track)}')}</h4>"
    yield from (f"<p>{escape(text)}</p>" for text in opening(table))
    yield "<table>"
    yield f"<thead><tr>{''.join(_cell('th', column, escape(column.heading)) for column in shown)}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(_cell('td', column, _text(column, row)) for column in shown)}</tr>"
    yield "</tbody></table>"
    yield f"<p><small>{escape(' '.join(caption(table)))}</small></p>"


def _text(column: Column, row: TableRow) -> str:
    text = escape(column.cell(row))
    text = f"<code>{text}</code>" if column.form == "code" else text
    return f"<b>{text}</b>" if column.ranks and row.best else text


def _cell(tag: str, column: Column, text: str) -> str:
    return f'<{tag} style="text-align: {"left" if column.left else "right"}">{text}</{tag}>'
