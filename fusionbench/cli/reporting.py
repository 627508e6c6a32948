"""`fusionbench report`: tables and pictures from the records that are there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionbench.cli.suites import made, show_report, tell, work_of, written

if TYPE_CHECKING:
    from fusionbench.api.work import Work


def report_suite(options: argparse.Namespace) -> None:
    """Write the report; print the table and the paths, the tables in one form alone, or the path of the page.

    Raises:
        UserError: there are no records, an option shapes another form, or what a page needs is not installed.
    """
    from fusionbench.core.errors import UserError

    if options.format != "latex" and (options.columns or options.wide):
        raise UserError("--columns and --wide shape the table for a paper: --format latex")
    if options.format == "html":
        _write_page(options)
        return
    work = work_of(options)
    if options.format:
        _print_form(options, work)
    else:
        show_report(work.suite, work.store, draw=not options.no_pictures)
    _add_strays(work)
    tell(work.store)


def _print_form(options: argparse.Namespace, work: Work) -> None:
    from fusionbench.report.write import printed

    found = made(work.suite, work.store, draw=not options.no_pictures)
    columns = [name.strip() for name in options.columns.split(",")] if options.columns else []
    text = printed(found, options.format, columns, wide=options.wide)
    written(work.suite, work.store, found)
    print(text, end="")  # This alone: it goes into a file or a paper.


def _write_page(options: argparse.Namespace) -> None:
    from fusionbench.report.page.libraries import refuse_without_libraries

    refuse_without_libraries()
    from fusionbench.report.page.document import Gathered, document
    from fusionbench.report.write import PAGE

    work = work_of(options)
    gathered = Gathered(work.suite)
    found = made(work.suite, work.store, draw=not options.no_pictures, seen=gathered.add)
    _add_strays(work)
    path = work.store.root / PAGE
    if found.took:  # Else `written` says that there is nothing.
        found.files.append((path, document(gathered, found, work.store.root, _below(work))))
    if path in written(work.suite, work.store, found):
        print(path)
    tell(work.store)


def _add_strays(work: Work) -> None:
    from fusionbench.records.strays import strays

    work.store.set_aside += strays(work.store, work.suite.runs())


def _below(work: Work) -> Sequence[str]:
    """What is not counted, each line once, by paths below the suite's folder: the page is read elsewhere."""
    from fusionbench.records.strays import put_aside

    root = f"{work.store.root}/"
    found = [*work.store.set_aside, *put_aside(work.store)]
    return [line.replace(root, "") for line in dict.fromkeys(found)]
