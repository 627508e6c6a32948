"""`fusionbench report`: tables and pictures from the records that are there."""

from __future__ import annotations

import argparse

from fusionbench.cli.suites import made, show_report, tell, work_of, written


def report_suite(options: argparse.Namespace) -> None:
    """Write the report; print the table and the paths, or the tables in one form alone.

    Raises:
        UserError: there are no records, or an option that shapes another form.
    """
    from fusionbench.core.errors import UserError
    from fusionbench.records.strays import strays
    from fusionbench.report.write import printed

    if options.format != "latex" and (options.columns or options.wide):
        raise UserError("--columns and --wide shape the table for a paper: --format latex")
    work = work_of(options)
    if options.format:
        found = made(work.suite, work.store, draw=not options.no_pictures)
        columns = [name.strip() for name in options.columns.split(",")] if options.columns else []
        text = printed(found, options.format, columns, wide=options.wide)
        written(work.suite, work.store, found)
        print(text, end="")  # This alone: it goes into a file or a paper.
    else:
        show_report(work.suite, work.store, draw=not options.no_pictures)
    work.store.set_aside += strays(work.store, work.suite.runs())
    tell(work.store)
