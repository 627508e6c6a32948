"""Strategies beside those of a suite: they alone are trained, and share its tables with the records that are there.

A record stands in a table only where its key is what the suite plans: same data, encoders, budget, seeds, track and
versions. Where none does, this says what differs, before anything trains; the data's fingerprint and split are compared
when they are prepared (engines/runner.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from fusionbench.api.work import source_of
from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.engines.rows import grouped
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.select import only, shard
from fusionbench.plan.source import with_strategies
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.reading import content_of
from fusionbench.records.record import InvalidRecord, Record, from_text
from fusionbench.records.store import LATENCY, Store
from fusionbench.report.differing import differing

MOST = 200
"""So many records of another protocol are looked at."""


def planned_beside(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    added: Sequence[Any],
    option: str,
    settings: Iterable[str] = (),
    filters: Iterable[str] = (),
    share: str = "1/1",
) -> tuple[Suite, tuple[RunSpec, ...], tuple[RunSpec, ...]]:
    """A suite with more strategies, their runs, and the runs of the other rows of their tables.

    Args:
        suite: as `planned` takes it.
        added: names, or mappings with name and options.
        option: by which they came, for errors.
        settings: as `planned` takes them.
        filters: which of the runs of the added ones.
        share: likewise.

    Raises:
        UserError: a mistake in one of these.
    """
    made = suite_of(with_strategies(source_of(suite, settings), added, option))
    names = {describe("strategy", one if isinstance(one, str) else str(one["name"])).name for one in added}
    ours = [run for run in made.runs() if run.strategy.name in names]
    runs = shard(only(ours, filters), share)
    tables = {_table(run) for run in runs}
    return made, tuple(runs), tuple(r for r in made.runs() if r.strategy.name not in names and _table(r) in tables)


def told(store: Store, runs: Sequence[RunSpec], beside: Sequence[RunSpec]) -> str:
    """How many records the added rows will stand beside, in a sentence for each table.

    Raises:
        UserError: records are there, and none of a table was made as the suite plans it.
    """
    said = (_told(store, found, [run for run in beside if _table(run) == name]) for name, found in _tables(runs))
    return " ".join(filter(None, said))


def done(store: Store, runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Those that have a record with scores."""
    return [run for run in runs if (record := store.read(run)) is not None and record.status == "done"]


def _told(store: Store, runs: Sequence[RunSpec], others: Sequence[RunSpec]) -> str:
    there, where = sum(store.read(run) is not None for run in others), _named(runs[0])
    if there or not others:
        return f"{where}: {there} of {len(others)} records of the other rows are there." if others else ""
    old = sum(store.status(run) == "old" for run in others)
    if old:
        raise UserError(
            f"{where}: the {old} records in {store.root} are of an older results version; run the suite again, or give "
            "the new rows their own folder (--results)"
        )
    found = next(_of_another_protocol(store, others), None)
    if found is None:
        return f"{where}: no record of the other rows is in {store.root}; `fusionbench run` without it trains them."
    raise UserError(
        f"{where}: the records in {store.root} were made otherwise, so no row of them can stand beside: {found}.\n"
        "Ask for what they were made with (--set), or name another folder (--results)"
    )


def _of_another_protocol(store: Store, others: Sequence[RunSpec]) -> Iterator[str]:
    """What differs between records of these rows and what is planned, the first first."""
    planned = {(run.strategy.name, run.seed): run for run in others}
    for record in islice(_records(store, others[0]), MOST):
        ours = planned.get((record.run.strategy.name, record.run.seed))
        if ours is not None and record.run.track.name == ours.track.name and record.run.role == "final":
            phrases = differing(ours, record.run, (), ())
            yield ", ".join(phrases) or "their plug-ins are of another version or file"


def _records(store: Store, sample: RunSpec) -> Iterator[Record]:
    for path in sorted(store.folder(sample.dataset).glob("*/*.json")):
        if path.stem.count(".") or path.parent.name == LATENCY:
            continue
        try:
            yield from_text(content_of(path))
        except (InvalidRecord, OSError):  # `fusionbench check` names it.
            continue


def _tables(runs: Sequence[RunSpec]) -> list[tuple[tuple[str, str], list[RunSpec]]]:
    return [(_table(found[0]), found) for found in grouped(runs, _table)]


def _table(run: RunSpec) -> tuple[str, str]:
    return slug("dataset", run.dataset), track_label(run.track)


def _named(run: RunSpec) -> str:
    return slug("dataset", run.dataset)
