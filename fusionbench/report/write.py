"""What `report` leaves under results/: per dataset the table in three forms, every seed, and the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.core.surroundings import alone
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.csvs import admission_csv, seeds_csv, table_csv
from fusionbench.report.latex import latex
from fusionbench.report.layout import markdown, narrow
from fusionbench.report.order import order_csv, order_page
from fusionbench.report.overview import overview, overview_csv, wins_csv
from fusionbench.report.pairs import pairs_csv
from fusionbench.report.tables import Table, tables
from fusionbench.report.tuned import tuned_files

Form = Literal["md", "latex", "csv"]
Told = Callable[[str], None]


def write_report(suite: Suite, store: Store, told: Told = lambda _: None) -> list[Path]:
    """Write table.md, .csv and .tex, seeds.csv and the picture of every dataset; the same records, same bytes.

    Where single modalities and fusions are both there, admission.csv has the numbers of the page's first line; where
    the order of strategies can be held against another (other seeds, test rows or suites), order.md and .csv do so;
    where a family of strategies is tested pair by pair, pairs.csv has every pair.

    A suite of several tracks has one set of files for each, named `table-<track>.md` and so on. Without a latency
    session the picture is accuracy_parameters instead of accuracy_latency.

    A suite of several datasets also has an overview of them all, and wins.csv: on how many of them one beats another.
    One with the track `tuned` has what tuned.py makes.

    Args:
        suite: what to show.
        store: its records.
        told: hears in one line why a picture could not be drawn; all other files are there then.

    Returns:
        The paths, in the order of the suite's datasets.

    Raises:
        UserError: no run of the suite has a record, or records that do not compare would share a table.
        OSError: the folder cannot be written; each file is whole or as it was.
    """
    found = list(tables(suite, store))
    if not any(outcome.record for table in found for row in table.rows for outcome in row.outcomes):
        raise UserError(
            f"{store.root}: no records of suite '{suite.name}' yet; `fusionbench run {suite.name}` makes them"
        )
    # All are made before the first is written: a suite's files are never half of one report, half of another.
    by_track = len(suite.tracks) > 1
    files = [file for table in found for file in _files(table, store.folder(table.dataset), by_track, told)]
    if len(suite.datasets) > 1:
        for track in suite.tracks:
            files += _across([table for table in found if table.track == track], store.root, by_track)
    files += tuned_files(suite, store, told)
    for path, content in files:
        write_over(path, content)
    return [path for path, _ in files]


def terminal_table(suite: Suite, store: Store, console: Console | None = None) -> str:
    """The suite's tables as text: narrow ones with colours for a terminal, Markdown for a pipe.

    Args:
        suite: what to show.
        store: its records.
        console: where the text will go; standard output by default.

    Raises:
        UserError: records that do not compare would share a table.
    """
    target = console or Console()
    found = list(tables(suite, store))
    if not target.is_terminal:
        return "\n".join(markdown(table) for table in found)
    with target.capture() as capture:
        for table in found:
            target.print(narrow(table), end="\n\n")
    return capture.get().rstrip("\n")


def printed(suite: Suite, store: Store, form: Form) -> str:
    """The suite's tables in one of the forms of the files, for standard output; CSV has one header for all.

    Raises:
        UserError: records that do not compare would share a table.
    """
    found = list(tables(suite, store))
    match form:
        case "csv":
            return table_csv(*found)
        case "latex":
            return "\n".join(latex(table) for table in found)
        case "md":
            return "\n".join(markdown(table) for table in found)


def _across(found: Sequence[Table], folder: Path, by_track: bool) -> Iterator[tuple[Path, bytes]]:
    suffix = f"-{track_label(found[0].track)}" if by_track else ""
    yield folder / f"overview{suffix}.md", overview(found).encode()
    yield folder / f"overview{suffix}.csv", overview_csv(found).encode()
    if wins := wins_csv(found):
        yield folder / f"wins{suffix}.csv", wins.encode()


def _files(table: Table, folder: Path, by_track: bool, told: Told) -> Iterator[tuple[Path, bytes]]:
    suffix = f"-{track_label(table.track)}" if by_track else ""
    name = f"accuracy_{table.cost}{suffix}"
    drawn = _drawn(table, told)
    shown = f"{name}.png" if drawn else ""
    asked = f"order{suffix}.md" if table.holds is not None else ""
    yield folder / f"table{suffix}.md", markdown(table, shown, asked).encode()
    yield folder / f"table{suffix}.csv", table_csv(table).encode()
    yield folder / f"seeds{suffix}.csv", seeds_csv(table).encode()
    yield folder / f"table{suffix}.tex", latex(table).encode()
    for form, content in drawn.items():
        yield folder / f"{name}.{form}", content
    if table.admission:
        yield folder / f"admission{suffix}.csv", admission_csv(table).encode()
    if pairs := pairs_csv(table):
        yield folder / f"pairs{suffix}.csv", pairs.encode()
    if asked:
        yield folder / asked, order_page(table).encode()
        yield folder / f"order{suffix}.csv", order_csv(table).encode()


def _drawn(table: Table, told: Told) -> dict[str, bytes]:
    """The pictures; none where matplotlib cannot: what a `matplotlibrc` or a broken font does costs no table."""
    try:
        with alone():  # A notebook's MPLBACKEND is read when matplotlib is imported.
            from fusionbench.report.plots import pictures
        return pictures(table)
    except Exception as error:  # noqa: BLE001  (whatever a library around ours raises)
        told(f"{table.name}: no picture ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
        return {}
