"""What runs cost besides time, in a table: columns that some row has something in, and a sentence on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from fusionbench.report.counted import DEVICE, DISK, MEMORY, PROCESSOR
from fusionbench.report.numbers import count
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table

HEADINGS = {
    DISK: "bytes on disk",
    MEMORY: "peak memory, bytes",
    PROCESSOR: "processor's energy, J",
    DEVICE: "GPU's energy, J",
}
SENTENCES = {
    "process": "Peak memory: by how much the process's own rose from when data and model were built to the test's end.",
    "device": "Peak memory: of what torch held on the GPU, the model in it.",
}


def shown(rows: Sequence[TableRow]) -> tuple[str, ...]:
    """The names of those that some row has."""
    return tuple(name for name in HEADINGS if any(name in row.costs for row in rows))


def cells(rows: Sequence[TableRow]) -> Iterator[tuple[str, Callable[[TableRow], str]]]:
    """The columns: a heading, and the cell of a row."""
    for name in shown(rows):
        yield HEADINGS[name], partial(_cell, name)


def sentences(table: Table) -> Iterator[str]:
    """What the columns are, below a table that has some."""
    records = [o.record.cost for row in table.rows for o in row.outcomes if o.record and o.state == "done"]
    for of, sentence in SENTENCES.items():
        if any(cost.get("memory_of") == of and MEMORY in cost for cost in records):
            yield sentence
    if {PROCESSOR, DEVICE} & set(shown(table.rows)):
        yield "Energy: all that the machine's counters saw while a run lasted, of what else ran there too."


def _cell(name: str, row: TableRow) -> str:
    return count(row.costs.get(name))
