"""A table as text: its columns, Markdown for files and pipes, and a narrow one for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fusionbench.plan.tracks import head_times
from fusionbench.report.captions import caption, short_caption
from fusionbench.report.ceiling import Ceiling
from fusionbench.report.costs import cells as cells_of_costs
from fusionbench.report.latency import Scope
from fusionbench.report.measured import Shown as MeasuredColumn
from fusionbench.report.measured import columns as measured_columns
from fusionbench.report.notes import note, own_width, short_note
from fusionbench.report.numbers import count, difference, milliseconds, score
from fusionbench.report.opening import opening
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.tested import heading
from fusionbench.report.titles import directed, title, track_title
from fusionbench.stats.references import Against, Compared

MARK = "●"
"""On the front."""
LONGEST_NOTE = 160
NONE: Mapping[str, str] = {}
ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#~"})


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it."""

    heading: str
    cell: Callable[[TableRow], str]
    """Plain text, nothing escaped."""
    left: bool = False
    form: Literal["number", "code", "words"] = "number"
    ranks: bool = False
    """Whether the best row is bold here, and rows that are tied with it are marked."""


def columns(table: Table) -> list[Column]:
    """The columns of the full table; those that would be empty are left out."""
    found = [
        Column("strategy", lambda row: row.strategy, left=True, form="code"),
        Column("name", lambda row: row.title, left=True, form="words"),
        Column(directed(table.metric), lambda row: score(row.scores.get(table.metric)), ranks=True),
    ]
    found += [_over(one) for one in table.tests.references if any(row.p is not None for row in one.compared)]
    if (ceiling := table.ceiling) is not None:
        found += [Column("of the ceiling", lambda row: _of_ceiling(row, table.metric, ceiling))]
    found += [_score(name) for name in table.beside]
    found += [_measured(one) for one in measured_columns(table)]
    if any(row.size for row in table.rows):
        found += [
            Column("fusion parameters", lambda row: count(row.size.get("fusion_parameters"))),
            *([Column("in training alone", _training_alone)] if any(map(_has_training_alone, table.rows)) else []),
            Column("encoder parameters", lambda row: count(row.size.get("encoder_parameters"))),
            *([Column("head width", _head_width)] if _is_matched(table) else []),
            *([Column("own width", lambda row: own_width(row) or "-")] if _is_solved(table) else []),
            Column("FLOPs a sample", lambda row: count(row.size.get("flops_per_sample"))),
        ]
    if any("learning_rate" in row.fixed for row in table.rows):
        found += [Column("learning rate", lambda row: _fixed(row, "learning_rate"))]
    found += [Column(heading, cell) for heading, cell in cells_of_costs(table.rows)]
    if table.latency:
        found += [_time(table, "fusion", 1), _time(table, "end_to_end", 1), _time(table, "end_to_end", 64)]
    if table.cost:
        found += [Column("front", lambda row: MARK if row.front else "", left=True)]
    found += [
        Column("fidelity", lambda row: row.fidelity, left=True),
        Column("interaction", lambda row: row.interaction, left=True),
        Column("seeds", lambda row: f"{row.done}/{len(row.outcomes)}"),
    ]
    if any(note(row) for row in table.rows):
        found += [Column("notes", lambda row: _short(note(row)), left=True, form="words")]
    return found


@dataclass(frozen=True)
class Page:
    """A table for GitHub: what its data are evidence of, the rows and the caption."""

    heading: str
    first: tuple[str, ...]
    """The sentences that it begins with."""
    rest: tuple[str, ...]
    """Lines."""

    def text(self, pictures: Mapping[str, str] = NONE, order: str = "") -> str:
        """The page as Markdown.

        Args:
            pictures: by their file names, beside the page, what they show.
            order: file name of the page on its order, beside the page; empty for none.
        """
        more = [f"More on the order: [{order}]({order})."] if order else []
        lines = [self.heading, "", *([*self.first, *more, ""] if self.first else []), *self.rest]
        for picture, words in pictures.items():
            lines += ["", f"![{words}]({picture})"]
        return "\n".join(lines) + "\n"


def page(table: Table) -> Page:
    """What the page of a table says, with files beside it or without."""
    shown = columns(table)
    rest = (
        _line([column.heading for column in shown]),
        _line([":--" if column.left else "--:" for column in shown]),
        *(_line([_cell(column, row) for column in shown]) for row in table.rows),
        "",
        *caption(table),
        *(f"\n`{row.strategy}`: {note(row).translate(ESCAPED)}." for row in table.rows if _is_cut(row)),
    )
    return Page(f"## {about(table)}", opening(table), rest)


def markdown(table: Table, pictures: Mapping[str, str] = NONE, order: str = "") -> str:
    """The page of a table as Markdown: see `Page.text`."""
    return page(table).text(pictures, order)


def about(table: Table) -> str:
    """What a page is about, as Markdown."""
    name, track = (text.translate(ESCAPED) for text in (table.title, track_title(table.track)))
    return f"{name}, suite {table.suite}, track {track}"


def narrow(table: Table) -> Group:
    """The table for a terminal (a rich renderable): what decides, and what went wrong.

    "parameters" are the fusion's, "ms" is the median end-to-end latency at batch 1.
    """
    name = f"{table.title} · {table.suite} · {track_title(table.track)}"
    shown = RichTable(title=Text(name), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("strategy", no_wrap=True)
    shown.add_column(directed(table.metric), justify="right", no_wrap=True)
    marks = any(row.mark for row in table.rows)
    if marks:  # A column of its own, so that the numbers stay in line.
        shown.add_column("", no_wrap=True)
    for words in ("parameters", *(["ms"] if table.latency else [])):
        shown.add_column(words, justify="right", no_wrap=True)
    shown.add_column("front", justify="center", no_wrap=True)
    notes = any(short_note(row) for row in table.rows)
    if notes:
        shown.add_column("notes", overflow="fold")
    for row in table.rows:
        cells = [row.strategy, score(row.scores.get(table.metric)), *([row.mark] if marks else [])]
        cells += [count(row.size.get("fusion_parameters"))]
        cells += [milliseconds(table.latency.median_ms(row.strategy, "end_to_end", 1))] if table.latency else []
        cells += [MARK if row.front else "", *([_short(short_note(row))] if notes else [])]
        # Text, not str: a reason may hold what rich takes for markup.
        shown.add_row(*map(Text, cells), style="bold" if row.best else "")
    return Group(shown, Text(" ".join(short_caption(table)), style="dim"))


def _is_matched(table: Table) -> bool:
    return any("target_parameters" in row.fixed for row in table.rows)


def _is_solved(table: Table) -> bool:
    return any("solved" in row.fixed for row in table.rows)


def _has_training_alone(row: TableRow) -> bool:
    return bool(row.size.get("training_parameters"))


def _training_alone(row: TableRow) -> str:
    """Parameters that no prediction needs, beside those of the fusion."""
    return count(row.size["training_parameters"]) if _has_training_alone(row) else "-"


def _fixed(row: TableRow, name: str) -> str:
    """What is fixed for a strategy; of one that looks at nothing, it means nothing."""
    return f"{row.fixed[name]:g}" if name in row.fixed and row.uses != "none" else "-"


def _head_width(row: TableRow) -> str:
    """Units of its MLP heads; those of wide baselines are a multiple of what the runner fixes, some rows have none."""
    width = row.fixed.get("head_width")
    return (
        "-"
        if width is None or "target_parameters" not in row.fixed
        else str(head_times(row.outcomes[0].run.strategy) * width)
    )


def _over(reference: Against) -> Column:
    """How far each row is above a reference; a star where that is not 0, corrected."""
    return Column(heading(reference), lambda row: _apart(reference.of(row.strategy)))


def _apart(found: Compared | None) -> str:
    if found is None:
        return "-"
    return difference(found.estimate) + " *" * (found.is_better or found.is_worse)


def _of_ceiling(row: TableRow, metric: str, ceiling: Ceiling) -> str:
    return f"{ceiling.part(row.scores[metric].mean):.3f}" if metric in row.scores else "-"


def _score(name: str) -> Column:
    return Column(title(name), lambda row: score(row.scores.get(name)))


def _measured(one: MeasuredColumn) -> Column:
    def cell(row: TableRow) -> str:
        found = one.by_row.get(row.strategy)
        return "-" if found is None else difference(found) if one.signed else score(found)

    return Column(one.heading, cell)


def _time(table: Table, scope: Scope, batch_size: int) -> Column:
    words = "fusion" if scope == "fusion" else "end-to-end"
    return Column(
        f"{words} ms, batch {batch_size}",
        lambda row: milliseconds(table.latency.median_ms(row.strategy, scope, batch_size) if table.latency else None),
    )


def _cell(column: Column, row: TableRow) -> str:
    """A cell as Markdown."""
    text = column.cell(row)
    marked = {"code": f"`{text}`", "words": text.translate(ESCAPED), "number": text}[column.form]
    if not column.ranks:
        return marked
    return f"**{marked}**" if row.best else f"{marked} {row.mark}".rstrip()


def _is_cut(row: TableRow) -> bool:
    return len(note(row)) > LONGEST_NOTE


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NOTE else text[: LONGEST_NOTE - 1] + "…"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
