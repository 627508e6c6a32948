"""All data sets of a track in one table: strategies by data sets, with mean ranks; a description, nothing is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fusionbench.report.layout import Column
from fusionbench.report.overview import cell
from fusionbench.report.page.grid import controls, grid
from fusionbench.report.page.texts import paragraphs, shown
from fusionbench.report.rows import TableRow
from fusionbench.report.standings import Standings, sentences, standings
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed

BELOW = "Scores as in each data set's own table, which says what they are means of; nothing is tested across data sets."


def across(found: Sequence[Table], title: str, figures: str = "") -> str:
    """One track's data sets, as HTML.

    Args:
        found: a table for each.
        title: of all.
        figures: the places of pictures, as HTML.
    """
    ranked = standings(found)
    rows = {row.strategy: row for table in reversed(found) for row in table.rows}
    ordered = dict.fromkeys(row.strategy for table in found for row in table.rows)
    first = [rows[name] for name in ordered]
    columns = [(column, True) for column in _columns(found, ranked)]
    said = [BELOW, *(sentences(ranked) if ranked else ())]
    parts = (
        f"<h2>{shown(title)}</h2>",
        controls(first, columns),
        grid(first, columns, title),
        paragraphs(said),
        figures,
    )
    return "\n".join(parts)


def _columns(found: Sequence[Table], ranked: Standings | None) -> Iterator[Column]:
    yield Column("strategy", lambda row: row.strategy, left=True, form="code")
    yield Column("name", lambda row: row.title, left=True, form="words")
    alike = len({table.metric for table in found if table.metric}) < 2
    for table in found:
        heading = table.title if alike else f"{table.title}, {directed(table.metric)}"
        yield Column(heading, _cell_of(table))
    if ranked:
        places = dict(zip(ranked.strategies, ranked.mean_ranks, strict=True))
        yield Column("mean rank", lambda row: f"{places[row.strategy]:.2f}" if row.strategy in places else "-")
    yield Column("fidelity", lambda row: row.fidelity, left=True)
    yield Column("interaction", lambda row: row.interaction, left=True)


def _cell_of(table: Table) -> Callable[[TableRow], str]:
    rows = {row.strategy: row for row in table.rows}
    return lambda row: cell(table, rows.get(row.strategy))
