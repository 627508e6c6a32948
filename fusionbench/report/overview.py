"""Strategies by datasets: one table of the scores that rank, where a suite has several datasets.

A description, not a test: differences within a column are for that dataset's own table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from fusionbench.core.scores import lower_is_better
from fusionbench.plan.names import track_label
from fusionbench.report.layout import ESCAPED
from fusionbench.report.notes import BAD
from fusionbench.report.numbers import score
from fusionbench.report.rows import TableRow
from fusionbench.report.standings import Standings, sentences, standings
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed, track_title

Names = dict[str, TableRow]


def overview(tables: Sequence[Table], picture: str = "") -> str:
    """Several datasets under one track as Markdown: a row for each strategy, in the order of the first column.

    Args:
        tables: of one suite and one track, one for each dataset.
        picture: file name of the picture of ranks, beside the page; empty for none.
    """
    rows = [{row.strategy: row for row in table.rows} for table in tables]
    first, found = tables[0], standings(tables)
    places = dict(zip(found.strategies, found.mean_ranks, strict=True)) if found else {}
    more = ["mean rank"] * bool(found)
    head = ["strategy", "fidelity", "interaction", *(table.title for table in tables), *more]
    lines = [
        f"# All datasets of suite {first.suite}, track {track_title(first.track).translate(ESCAPED)}",
        "",
        f"| {' | '.join(name.translate(ESCAPED) for name in head)} |",
        f"| {' | '.join([':--'] * 3 + ['--:'] * (len(tables) + len(more)))} |",
    ]
    for strategy in _strategies(rows):
        facts = next(of[strategy] for of in rows if strategy in of)
        cells = [cell(table, of.get(strategy), "**") for table, of in zip(tables, rows, strict=True)]
        cells += [f"{places[strategy]:.2f}" if strategy in places else "-"] * bool(found)
        lines.append(f"| {' | '.join([f'`{strategy}`', facts.fidelity, facts.interaction, *cells])} |")
    said = [*_caption(tables), *(sentences(found) if found else ())]
    shown = ["", f"![ranks over data sets]({picture})"] if picture else []
    return "\n".join([*lines, "", *said, *(_matrix(tables, found) if found else ()), *shown]) + "\n"


def overview_csv(tables: Sequence[Table]) -> str:
    """The same for machines: a line for each strategy and dataset, of ten digits each."""
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


def wins_csv(tables: Sequence[Table]) -> str:
    """On how many data sets each strategy has a better mean than each other, a tie half; empty where none is shared."""
    found = standings(tables)
    if found is None:
        return ""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["strategy", "mean_rank", *found.strategies])
    for strategy, rank, row in zip(found.strategies, found.mean_ranks, found.wins.tolist(), strict=True):
        writer.writerow([strategy, rank, *row])
    return buffer.getvalue()


def _matrix(tables: Sequence[Table], found: Standings) -> Iterator[str]:
    """The same of the suite's first family: more would not fit a page."""
    families = tables[0].tests.families
    named = families[0].members if families else ()
    places = [index for index, name in enumerate(found.strategies) if name in named]
    if len(places) < 2:
        return
    names = [f"`{found.strategies[index]}`" for index in places]
    than = f"{_which(tables, 'higher', 'better')} mean than the column"
    yield f"\nFamily {families[0].name}: on how many data sets the row has a {than}, a tie half.\n"
    yield f"| | {' | '.join(names)} |"
    yield f"| :-- |{' --: |' * len(names)}"
    for name, row in zip(names, found.wins[places][:, places].tolist(), strict=True):
        cells = ["" if other == name else f"{value:g}" for other, value in zip(names, row, strict=True)]
        yield f"| {name} | {' | '.join(cells)} |"


def _which(tables: Sequence[Table], higher: str, better: str) -> str:
    """A word for a mean that is above, where higher is better on all data sets."""
    return better if any(lower_is_better(table.metric) for table in tables) else higher


def _strategies(rows: Sequence[Names]) -> list[str]:
    """Each once, in the order of the first table that has it."""
    return list(dict.fromkeys(strategy for found in rows for strategy in found))


def cell(table: Table, row: TableRow | None, bold: str = "") -> str:
    """The score that ranks, with what went wrong.

    Args:
        table: a data set's.
        row: its row of a strategy; None where it has none, as of another modality.
        bold: what stands around the best.
    """
    if row is None:
        return ""
    states = [outcome.state for outcome in row.outcomes]
    worst = next((state for state in BAD if state in states), None)
    if table.metric not in row.scores:
        return worst or ""
    text = score(row.scores[table.metric])
    text = f"{bold}{text}{bold}" if row.best else text
    return text if worst in (None, "missing") else f"{text} ({states.count(worst)} {worst})"


def _caption(tables: Sequence[Table]) -> Iterator[str]:
    done = sorted({row.done for table in tables for row in table.rows if row.done})
    if not done:
        yield "No run is done yet."
        return
    metrics = ", ".join(dict.fromkeys(f"{directed(table.metric)} on {table.title}" for table in tables if table.metric))
    alike = {table.metric for table in tables if table.metric}
    what = directed(alike.pop()) if len(alike) == 1 else metrics
    interval = "mean ± half-width of the 95 % interval over" if done[-1] > 1 else "scores of"
    seeds = f"{done[0]} to {done[-1]}" if len(done) > 1 else str(done[0])
    yield (
        f"{what[:1].upper()}{what[1:]}: {interval} {seeds} seed{'s' * (done[-1] > 1)}. Bold: the "
        f"{_which(tables, 'highest', 'best')} mean of its "
        "column's family, or of all where none is tested, unless its order is not seen to hold; nothing is tested "
        "across data sets."
    )
