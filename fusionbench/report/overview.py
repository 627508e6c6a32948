"""Strategies by datasets: one table of the scores that rank, where a suite has several datasets.

A description, not a test: differences within a column are for that dataset's own table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from fusionbench.plan.names import track_label
from fusionbench.report.layout import ESCAPED
from fusionbench.report.notes import BAD
from fusionbench.report.numbers import score
from fusionbench.report.tables import Table, TableRow
from fusionbench.report.titles import title

Names = dict[str, TableRow]


def overview(tables: Sequence[Table]) -> str:
    """Several datasets under one track as Markdown: a row for each strategy, in the order of the first column.

    Args:
        tables: of one suite and one track, one for each dataset.
    """
    rows = [{row.strategy: row for row in table.rows} for table in tables]
    first = tables[0]
    head = ["strategy", "fidelity", "interaction", *(table.name for table in tables)]
    lines = [
        f"# All datasets of suite {first.suite}, track {track_label(first.track).translate(ESCAPED)}",
        "",
        f"| {' | '.join(name.translate(ESCAPED) for name in head)} |",
        f"| {' | '.join([':--'] * 3 + ['--:'] * len(tables))} |",
    ]
    for strategy in _strategies(rows):
        facts = next(found[strategy] for found in rows if strategy in found)
        cells = [_cell(table, found.get(strategy)) for table, found in zip(tables, rows, strict=True)]
        lines.append(f"| {' | '.join([f'`{strategy}`', facts.fidelity, facts.interaction, *cells])} |")
    return "\n".join([*lines, "", *_caption(tables)]) + "\n"


def overview_csv(tables: Sequence[Table]) -> str:
    """The same for machines: a line for each strategy and dataset, unrounded."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["track", "strategy", "dataset", "metric", "mean", "half_width", "done", "planned"])
    for strategy in _strategies([{row.strategy: row for row in table.rows} for table in tables]):
        for table in tables:
            for row in (row for row in table.rows if row.strategy == strategy):
                found = row.scores.get(table.metric)
                numbers = (found.mean, found.half_width) if found else (None, None)
                names = (track_label(table.track), strategy, table.name, table.metric)
                writer.writerow([*names, *numbers, row.done, len(row.outcomes)])
    return buffer.getvalue()


def _strategies(rows: Sequence[Names]) -> list[str]:
    """Each once, in the order of the first table that has it."""
    return list(dict.fromkeys(strategy for found in rows for strategy in found))


def _cell(table: Table, row: TableRow | None) -> str:
    if row is None:
        return ""  # Of another modality: a row of other datasets.
    states = [outcome.state for outcome in row.outcomes]
    worst = next((state for state in BAD if state in states), None)
    if table.metric not in row.scores:
        return worst or ""
    text = score(row.scores[table.metric])
    text = f"**{text}**" if row.best else text
    return text if worst in (None, "missing") else f"{text} ({states.count(worst)} {worst})"


def _caption(tables: Sequence[Table]) -> Iterator[str]:
    done = sorted({row.done for table in tables for row in table.rows if row.done})
    if not done:
        yield "No run is done yet."
        return
    metrics = ", ".join(dict.fromkeys(f"{title(table.metric)} on {table.name}" for table in tables if table.metric))
    alike = {table.metric for table in tables if table.metric}
    what = title(alike.pop()) if len(alike) == 1 else metrics
    seeds = f"{done[0]} to {done[-1]}" if len(done) > 1 else str(done[0])
    yield (
        f"{what[:1].upper()}{what[1:]}: mean ± half-width of the 95 % t interval over {seeds} "
        f"seed{'s' * (done[-1] > 1)}. Bold: the highest mean of its column, unless its order is not seen to hold; "
        "nothing is tested across datasets."
    )
