"""What the verbs of a suite share: the work that a command line asks for, and what is shown of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fusionbench.core.ranks import ranks_under_torchrun

if TYPE_CHECKING:
    from fusionbench.api.limits import TimeLimit
    from fusionbench.api.progress import Shown
    from fusionbench.api.work import Work
    from fusionbench.plan.suite import RunSpec, Suite
    from fusionbench.records.store import Store
    from fusionbench.report.making import Report
    from fusionbench.report.tables import Table


SECONDS = ("checkpoint_after", "silent_after")
"""Options that have their default where `Work` has it."""


def work_of(options: argparse.Namespace) -> Work:
    """The suite, the runs that the command line leaves of it, and where they happen."""
    from fusionbench.api.beside import planned_beside
    from fusionbench.api.work import Work, planned
    from fusionbench.cli.engines import engine_of

    chosen = options.set, options.only, options.shard
    beside: tuple[RunSpec, ...] = ()
    if options.strategy:
        suite, runs, beside = planned_beside(options.suite, options.strategy, "--strategy", *chosen)
    else:
        suite, runs = planned(options.suite, *chosen)
    return Work(
        suite,
        runs,
        results=Path(options.results),
        data=Path(options.data) if options.data else None,
        workers=options.workers,
        devices=options.devices,
        threads=options.threads,
        stored_encodings=not options.no_stored_encodings,
        keep_encodings=options.keep_encodings,
        **{name: value for name in SECONDS if (value := getattr(options, name)) is not None},
        debug=options.debug,
        beside=beside,
        engine=engine_of(options),
    )


def limit_of(options: argparse.Namespace) -> TimeLimit | None:
    """What --for says.

    Raises:
        UserError: it is no duration, or torchrun has started this process.
    """
    from fusionbench.api.limits import TimeLimit
    from fusionbench.core.durations import seconds_of
    from fusionbench.core.errors import UserError

    if options.limit is None:
        return None
    if ranks_under_torchrun(os.environ) is not None:
        raise UserError("--for: torchrun's processes go on to the end; leave it out, or start without torchrun")
    return TimeLimit(seconds_of(options.limit, "--for"), options.limit)


def watchers(*, debug: bool) -> Callable[[int, int], Shown]:
    """A live display on a terminal, lines in a pipe; on standard output."""
    from rich.console import Console

    from fusionbench.api.progress import LineWatcher, LiveWatcher

    console = Console()
    if console.is_terminal and not debug:
        return lambda total, already: LiveWatcher(total, already, console)
    return lambda total, already: LineWatcher(total, already, lambda line: print(line, flush=True))


def show_report(suite: Suite, store: Store, *, draw: bool = True) -> None:
    """Write tables and pictures, print the table and the paths."""
    from fusionbench.report.write import terminal_text

    report = made(suite, store, draw=draw)
    paths = written(suite, store, report)
    print(terminal_text(report))
    if paths:
        print("written:")
    for path in paths:
        print(f"  {path}")


def made(suite: Suite, store: Store, *, draw: bool = True, seen: Callable[[Table], None] = lambda _: None) -> Report:
    """The report; what could not be drawn is said in a line."""
    from fusionbench.report.making import made_report

    return made_report(suite, store, lambda line: print(line, file=sys.stderr), draw=draw, seen=seen)


def written(suite: Suite, store: Store, report: Report) -> list[Path]:
    """The files of the report; none, and one line that says why, where they cannot be written."""
    from fusionbench.report import write

    try:
        return write.written(suite, store, report)
    except OSError as error:
        print(f"not written: {error.filename or store.root}: {error.strerror or error}", file=sys.stderr)
        return []


def tell(store: Store) -> None:
    """The invalid files, each once: most were moved aside, others are met again wherever they are read."""
    from fusionbench.core.output import printable

    for line in dict.fromkeys(store.set_aside):
        print(printable(line), file=sys.stderr)


def counted(counts: Counter[str]) -> str:
    """`3 done, 1 failed`."""
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "nothing to do"
