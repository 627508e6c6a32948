"""What `report` leaves under results/: per data set the table in several forms, every seed, and the pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.core.surroundings import alone
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.checklist import checklist
from fusionbench.report.csvs import admission_csv, seeds_csv, table_csv
from fusionbench.report.latex import latex
from fusionbench.report.layout import markdown, narrow
from fusionbench.report.macros import macros
from fusionbench.report.methods import methods
from fusionbench.report.order import order_csv, order_page
from fusionbench.report.overview import overview, overview_csv, wins_csv
from fusionbench.report.pairs import pairs_csv
from fusionbench.report.tables import Table, tables
from fusionbench.report.tuned import tuned_files

Form = Literal["md", "latex", "csv"]
Told = Callable[[str], None]
OURS = re.compile(
    r"(table|table_wide|methods|numbers|seeds|admission|order|overview|wins|checklist|front|differences"
    r"|pairs|curves|ranks|tuned|trials|search|accuracy_[A-Za-z]+)"
    r"(-(same_encoders|matched_parameters|tuned)[\w+=.]*)?\.(md|csv|tex|png|pdf)"
)
"""Files that a report makes, or made once: those that it makes no longer are removed."""
PICTURES = (".png", ".pdf")


@dataclass(frozen=True)
class Report:
    """All that a report says, made and not written yet."""

    files: tuple[tuple[Path, bytes], ...]
    pages: tuple[str, ...]
    """A table each as Markdown, without pictures."""
    tables: tuple[Table, ...]
    """Without what only their files needed: curves and resamples."""
    draws: bool


def made_report(suite: Suite, store: Store, told: Told = lambda _: None, *, draw: bool = True) -> Report:
    """Tables, pages for papers and pictures of every data set; the same records, the same bytes.

    A suite of several tracks has one set of files for each, named `table-<track>.md` and so on; one of several data
    sets also has an overview of them all, one with the track `tuned` what tuned.py makes. Tables are made one after
    the other, so that no more than one data set's records are in memory.

    Args:
        suite: what to show.
        store: its records.
        told: hears in one line why a picture could not be drawn; all other files are there then.
        draw: whether to make pictures.

    Raises:
        UserError: records that do not compare would share a table.
    """
    by_track = len(suite.tracks) > 1
    files: list[tuple[Path, bytes]] = []
    pages: list[str] = []
    found: list[Table] = []
    for table in tables(suite, store):
        files += _files(table, store.folder(table.dataset), by_track, told if draw else None)
        pages.append(markdown(table))
        found.append(_light(table))
    if len(suite.datasets) > 1:
        for track in suite.tracks:
            files += _across([t for t in found if t.track == track], store.root, by_track, told if draw else None)
    files += tuned_files(suite, store, told if draw else None)
    files.append((store.root / "checklist.tex", checklist(suite, found).encode()))
    return Report(tuple(files), tuple(pages), tuple(found), draw)


def write_report(suite: Suite, store: Store, told: Told = lambda _: None, *, draw: bool = True) -> list[Path]:
    """Make and write a report: see `made_report` and `written`."""
    return written(suite, store, made_report(suite, store, told, draw=draw))


def written(suite: Suite, store: Store, report: Report) -> list[Path]:
    """Write the files of a report, and remove those that an earlier one made and this one does not.

    Returns:
        The paths, in the order of the suite's data sets.

    Raises:
        UserError: no run of the suite has a record.
        OSError: the folder cannot be written; each file is whole or as it was.
    """
    if not any(outcome.record for table in report.tables for row in table.rows for outcome in row.outcomes):
        raise UserError(
            f"{store.root}: no records of suite '{suite.name}' yet; `fusionbench run {suite.name}` makes them"
        )
    for path, content in report.files:
        write_over(path, content)
    paths = [path for path, _ in report.files]
    folders = dict.fromkeys([store.root, *(store.folder(dataset) for dataset in suite.datasets)])
    ours = (path for folder in folders for path in sorted(folder.iterdir()) if OURS.fullmatch(path.name))
    for path in ours:
        if path not in paths and (report.draws or path.suffix not in PICTURES):
            with suppress(OSError):
                path.unlink()
    return paths


def terminal_text(report: Report, console: Console | None = None) -> str:
    """The tables as text: narrow ones with colours for a terminal, Markdown for a pipe.

    Args:
        report: what to show.
        console: where the text will go; standard output by default.
    """
    target = console or Console()
    if not target.is_terminal:
        return "\n".join(report.pages)
    with target.capture() as capture:
        for table in report.tables:
            target.print(narrow(table), end="\n\n")
    return capture.get().rstrip("\n")


def printed(report: Report, form: Form, columns: Sequence[str] = (), *, wide: bool = False) -> str:
    """The tables in one of the forms of the files, for standard output; CSV has one header for all.

    Args:
        report: what to show.
        form: which.
        columns: of LaTeX, see `paper_columns`.
        wide: of LaTeX, for two columns of text.

    Raises:
        UserError: a column that a table does not have.
    """
    match form:
        case "csv":
            return table_csv(*report.tables)
        case "latex":
            return "\n".join(latex(table, columns, wide=wide) for table in report.tables)
        case "md":
            return "\n".join(report.pages)


def _across(found: Sequence[Table], folder: Path, by_track: bool, told: Told | None) -> Iterator[tuple[Path, bytes]]:
    """The files over all data sets of one track."""
    suffix = f"-{track_label(found[0].track)}" if by_track else ""
    drawn = _ranks(found, told) if told else {}
    yield folder / f"overview{suffix}.md", overview(found, f"ranks{suffix}.png" if drawn else "").encode()
    yield from ((folder / f"ranks{suffix}.{form}", content) for form, content in drawn.items())
    yield folder / f"overview{suffix}.csv", overview_csv(found).encode()
    if wins := wins_csv(found):
        yield folder / f"wins{suffix}.csv", wins.encode()


def _files(table: Table, folder: Path, by_track: bool, told: Told | None) -> Iterator[tuple[Path, bytes]]:
    """The files of one table; without pictures where nobody is told of them."""
    suffix = f"-{track_label(table.track)}" if by_track else ""
    drawn = _drawn(table, told) if told else {}
    shown = {f"{name}{suffix}.png": what for name, (what, _) in drawn.items()}
    asked = f"order{suffix}.md" if table.holds is not None else ""
    yield folder / f"table{suffix}.md", markdown(table, shown, asked).encode()
    yield folder / f"table{suffix}.csv", table_csv(table).encode()
    yield folder / f"seeds{suffix}.csv", seeds_csv(table).encode()
    yield folder / f"table{suffix}.tex", latex(table).encode()
    yield folder / f"table_wide{suffix}.tex", latex(table, wide=True).encode()
    yield folder / f"methods{suffix}.tex", methods(table).encode()
    yield folder / f"numbers{suffix}.tex", macros(table).encode()
    for name, (_, forms) in drawn.items():
        yield from ((folder / f"{name}{suffix}.{form}", content) for form, content in forms.items())
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
    """Without curves and resamples, which are most of what its records hold."""
    rows = [
        replace(
            row,
            outcomes=tuple(
                replace(outcome, resamples=None, record=outcome.record and replace(outcome.record, curves={}))
                for outcome in row.outcomes
            ),
        )
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))
