"""Every planned run of a table with its reason, and its record: what many records share is kept once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fusionbench.records.record import Record, facts_of
from fusionbench.report.collect import Outcome
from fusionbench.report.csvs import seed_rows
from fusionbench.report.numbers import significant
from fusionbench.report.page.grid import attributes
from fusionbench.report.page.texts import shown
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import title

SHARED = ("data", "environment", "notes", "options", "spec", "task")
"""Fields that are equal in many records; of a spec all but its seed."""
LONGEST = 300
"""Letters of a reason; the record has the rest."""


@dataclass
class Records:
    """Records by key, with a number in the place of each field that is shared."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pool: list[Any] = field(default_factory=list)
    """What the numbers stand for."""
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Keep a record."""
        facts = facts_of(record)
        facts["seed"] = facts["spec"]["seed"]
        facts["spec"] = {name: value for name, value in facts["spec"].items() if name != "seed"}
        self.runs[record.key] = facts | {name: self._place(facts[name]) for name in SHARED}

    def to_json(self) -> Mapping[str, Any]:
        """As the page reads it: `recordOf` in page.js puts a record together again."""
        return {"shared": SHARED, "pool": self.pool, "runs": self.runs}

    def _place(self, value: Any) -> int:
        text = json.dumps(value, sort_keys=True)
        if text not in self._places:
            self._places[text] = len(self.pool)
            self.pool.append(value)
        return self._places[text]


def add_records(table: Table, found: Records) -> None:
    """Those of a table's runs that have one."""
    for row in table.rows:
        for outcome in row.outcomes:
            if outcome.record is not None:
                found.add(outcome.record)


def runs(table: Table) -> str:
    """A row for each planned run, as HTML."""
    words = ("strategy", "seed", "status", title(table.metric), "epochs", "seconds", "record", "reason")
    heads = (f'<th scope="col" aria-sort="none"><button type="button">{shown(word)}</button></th>' for word in words)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Runs"><table class="grid runs">\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{''.join(_rows(table))}</tbody></table></div>"
    )


def _rows(table: Table) -> Iterator[str]:
    outcomes = ((row, outcome) for row in table.rows for outcome in row.outcomes)
    for (row, outcome), line in zip(outcomes, seed_rows(table), strict=True):
        yield f"<tr{attributes(row)}>{''.join(_cells(table, row, outcome, line))}</tr>\n"


def _cells(table: Table, row: TableRow, outcome: Outcome, line: Mapping[str, Any]) -> Iterator[str]:
    yield f"<td><code>{shown(row.strategy)}</code></td>"
    yield _number(outcome.run.seed, str(outcome.run.seed))
    yield f'<td class="{shown(outcome.state)}">{shown(outcome.state)}</td>'
    score, seconds, epochs = line.get(table.metric), line["train_seconds"], line["epochs_run"]
    yield _number(score, f"{score:.4f}" if score is not None else "")
    yield _number(epochs, str(epochs) if epochs is not None else "")
    yield _number(seconds, significant(seconds) if seconds is not None else "")
    key = shown(outcome.run.key)
    yield f'<td><button type="button" data-key="{key}">{key}</button></td>' if outcome.record else f"<td>{key}</td>"
    reason = outcome.reason if len(outcome.reason) <= LONGEST else f"{outcome.reason[: LONGEST - 1]}…"
    yield f'<td class="words">{shown(reason)}</td>'


def _number(value: float | None, text: str) -> str:
    return f'<td class="right"{"" if value is None else f" data-v={chr(34)}{value!r}{chr(34)}"}>{text}</td>'
