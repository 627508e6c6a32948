"""A report, made and not written yet: pages, tables for papers, numbers for machines and pictures of every data set."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fusionbench.core.surroundings import alone
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.checklist import Took, checklist, took
from fusionbench.report.collect import Outcome
from fusionbench.report.csvs import admission_csv, seeds_csv, strategy_rows, text_of
from fusionbench.report.forms import forms_csv
from fusionbench.report.latex import latex
from fusionbench.report.layout import Page, page
from fusionbench.report.macros import macros
from fusionbench.report.measured_csvs import measured_csvs, missing_lines
from fusionbench.report.methods import methods
from fusionbench.report.order import order_csv, order_page
from fusionbench.report.overview import overview, overview_csv, wins_csv
from fusionbench.report.pairs import pairs_csv
from fusionbench.report.tables import Table, tables
from fusionbench.report.tuned import tuned_files

Told = Callable[[str], None]
Seen = Callable[[Table], None]
COLLECT_AFTER = 200_000
"""Objects: Python's own 700 to 2,000 are for programs that hold little."""


@dataclass
class Report:
    """All that a report says."""

    draws: bool
    """Whether it has pictures."""
    files: list[tuple[Path, bytes]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    """A table each as Markdown, without pictures; none of what is not begun."""
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    """Of all tables, as CSV has them."""
    tables: list[Table] = field(default_factory=list)
    """Without records: what they show is in their rows."""
    took: list[Took] = field(default_factory=list)
    """One for each record."""
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    """What is missing in training by what is missing in the test."""


def made_report(
    suite: Suite, store: Store, told: Told = lambda _: None, *, draw: bool = True, seen: Seen = lambda _: None
) -> Report:
    """Tables, pages for papers and pictures of every data set; the same records, the same bytes.

    A suite of several tracks has one set of files for each, named `table-<track>.md` and so on; one of several data
    sets also has an overview of them all, one with the track `tuned` what tuned.py makes. Tables are made one after
    the other, so that no more than one data set's records are in memory.

    Args:
        suite: what to show.
        store: its records.
        told: hears in one line why a picture could not be drawn, all other files are there then; and what has no
            table, being not begun, and how to begin it.
        draw: whether to make pictures.
        seen: gets each table that is begun while its records are there.

    Raises:
        UserError: records that do not compare would share a table.
    """
    by_track, report, heard = len(suite.tracks) > 1, Report(draw), told if draw else None
    waiting: list[Table] = []
    with _few_collections():
        for table in tables(suite, store):
            if not table.is_begun:
                waiting.append(table)
                continue
            lines, said = strategy_rows(table), page(table)
            report.files += _files(table, said, lines, store.folder(table.dataset), by_track, heard)
            report.pages.append(said.text())
            report.lines += lines
            report.took += took(table)
            report.missing += missing_lines(table)
            seen(table)
            report.tables.append(_light(table))
    for track in suite.tracks:
        found = [table for table in report.tables if table.track == track]
        report.files += _across(found, store.root, by_track, heard) if len(found) > 1 else ()
    report.files += tuned_files(suite, store, heard)
    if any(dataset.train_missing for dataset in suite.datasets) and report.missing:
        report.files.append((store.root / "missing.csv", text_of(report.missing).encode()))
        report.files += _missing(report, store.root, heard) if heard else ()
    report.files.append((store.root / "checklist.tex", checklist(suite, report.tables, report.took).encode()))
    for line in _not_begun(suite, waiting) if report.tables else ():
        told(line)
    return report


def _not_begun(suite: Suite, waiting: Sequence[Table]) -> Iterator[str]:
    """What has no records yet and how to run it, in a line for each track."""
    for track in suite.tracks:
        found = [table for table in waiting if table.track == track]
        if not found:
            continue
        where = "" if len(found) == len(suite.datasets) else f" on {', '.join(table.title for table in found)}"
        filters = [f"track={track_label(track)}"] if len(suite.tracks) > 1 else []
        filters += [f"dataset={','.join(table.name for table in found)}"] if where else []
        only = "".join(f" --only {words}" for words in filters)
        way = f"`fusionbench run {suite.name}{only}` makes them"
        yield f"{track_label(track)}{where}: no records of evaluated runs yet, so no table; {way}"


@contextmanager
def _few_collections() -> Iterator[None]:
    """Records are trees that go when they are dropped: looking for cycles among thousands takes a fifth of the time.

    Pictures do have cycles, so it is not switched off.
    """
    usual = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _across(found: Sequence[Table], folder: Path, by_track: bool, told: Told | None) -> Iterator[tuple[Path, bytes]]:
    """The files over all data sets of one track."""
    suffix = f"-{track_label(found[0].track)}" if by_track else ""
    drawn = _ranks(found, told) if told else {}
    yield folder / f"overview{suffix}.md", overview(found, f"ranks{suffix}.png" if drawn else "").encode()
    yield from ((folder / f"ranks{suffix}.{form}", content) for form, content in drawn.items())
    yield folder / f"overview{suffix}.csv", overview_csv(found).encode()
    if wins := wins_csv(found):
        yield folder / f"wins{suffix}.csv", wins.encode()


def _files(
    table: Table, said: Page, lines: Sequence[Mapping[str, Any]], folder: Path, by_track: bool, told: Told | None
) -> Iterator[tuple[Path, bytes]]:
    """The files of one table; without pictures where nobody is told of them."""
    suffix = f"-{track_label(table.track)}" if by_track else ""
    drawn = _drawn(table, told) if told else {}
    shown = {f"{name}{suffix}.png": what for name, (what, _) in drawn.items()}
    asked = f"order{suffix}.md" if table.holds is not None else ""
    yield folder / f"table{suffix}.md", said.text(shown, asked).encode()
    yield folder / f"table{suffix}.csv", text_of(lines).encode()
    yield folder / f"seeds{suffix}.csv", seeds_csv(table).encode()
    yield folder / f"table{suffix}.tex", latex(table).encode()
    yield folder / f"table_wide{suffix}.tex", latex(table, wide=True).encode()
    yield folder / f"methods{suffix}.tex", methods(table).encode()
    yield folder / f"numbers{suffix}.tex", macros(table).encode()
    for name, (_, forms) in drawn.items():
        yield from ((folder / f"{name}{suffix}.{form}", content) for form, content in forms.items())
    for name, text in measured_csvs(table).items():
        yield folder / f"{name}{suffix}.csv", text.encode()
    if table.forms:
        yield folder / f"forms{suffix}.csv", forms_csv(table.forms).encode()
    if table.admission:
        yield folder / f"admission{suffix}.csv", admission_csv(table).encode()
    if pairs := pairs_csv(table):
        yield folder / f"pairs{suffix}.csv", pairs.encode()
    if asked:
        yield folder / asked, order_page(table).encode()
        yield folder / f"order{suffix}.csv", order_csv(table).encode()


def _drawn(table: Table, told: Told) -> dict[str, tuple[str, dict[str, bytes]]]:
    """By name, what a picture shows and its forms; those that cannot be drawn cost no table."""
    with _library(table.title, told):
        from fusionbench.report.pictures import pictures, words

        return {name: (words(name, table), forms) for name, forms in pictures(table, told)}
    return {}


def _missing(report: Report, folder: Path, told: Told) -> Iterator[tuple[Path, bytes]]:
    """A picture for each data set and track of what fusions lack in training by what they lack in the test."""
    fusions = {row.strategy for table in report.tables for row in table.rows if row.uses == "all"}
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in report.missing:
        if line["strategy"] in fusions:
            groups.setdefault((line["dataset"], line["track"]), []).append(line)
    suite = report.tables[0].suite
    with _library(suite, told):
        from fusionbench.report.missing_picture import missing_picture

        for (dataset, track), found in groups.items():
            several = [len({key[at] for key in groups}) > 1 for at in (0, 1)]
            name = "-".join(
                ["missing", *(word for word, is_one in zip((dataset, track), several, strict=True) if is_one)]
            )
            drawn = missing_picture(suite, dataset, found)
            yield from ((folder / f"{name}.{form}", content) for form, content in drawn.items())


def _ranks(found: Sequence[Table], told: Told) -> dict[str, bytes]:
    with _library(found[0].suite, told):
        from fusionbench.report.ranks import ranks_picture

        return ranks_picture(found)
    return {}


@contextmanager
def _library(what: str, told: Told) -> Iterator[None]:
    """Where matplotlib is imported and draws: what a `matplotlibrc` or a broken font does is said in a line."""
    try:
        with alone():  # A notebook's MPLBACKEND is read when matplotlib is imported.
            yield
    except Exception as error:  # noqa: BLE001  (whatever a library around ours raises)
        told(f"{what}: no picture ({type(error).__name__}: {' '.join(str(error).split())[:200]})")


def _light(table: Table) -> Table:
    """Without records and resamples, which are most of what it holds."""
    rows = [
        replace(row, outcomes=tuple(Outcome(one.run, one.state, one.reason) for one in row.outcomes), measured={})
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))
