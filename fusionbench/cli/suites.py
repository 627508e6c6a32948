"""What the verbs of a suite share: which runs are meant, where and on what they happen, and what is shown of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusionbench.bench.jobs import Place
    from fusionbench.cli.progress import LineWatcher, LiveWatcher
    from fusionbench.engines.local import Watcher
    from fusionbench.engines.runner import Runner
    from fusionbench.plan.suite import RunSpec, Suite
    from fusionbench.records.store import Store


def selected(options: argparse.Namespace) -> tuple[Suite, Store, list[RunSpec]]:
    """The suite, its records, and the runs that the command line leaves of it."""
    from fusionbench.plan.load import load_suite
    from fusionbench.plan.select import only, shard
    from fusionbench.records.store import Store

    suite = load_suite(options.suite, options.set)
    runs = only(suite.runs(), options.only)
    return suite, Store(Path(options.results), suite.name), shard(runs, options.shard)


def place_of(options: argparse.Namespace, suite: Suite) -> Place:
    """Where the work happens.

    Raises:
        UserError: a number or folder that cannot be.
    """
    from fusionbench.bench.jobs import Place
    from fusionbench.core.errors import UserError
    from fusionbench.records.environment import environment

    if (options.workers is not None and options.workers < 1) or options.threads < 1:
        raise UserError("--workers and --threads: give a number from 1 on")
    data = Path(options.data) if options.data else None
    if data is not None and not data.is_dir():
        raise UserError(
            f"--data {data}: no such folder; create it (mkdir -p {data}) or name the one that holds the data"
        )
    stored = not options.no_stored_encodings
    return Place(Path(options.results), suite.name, data, options.threads, environment(), options.debug, stored)


def runner_for(options: argparse.Namespace, suite: Suite, watcher: Watcher) -> Runner:
    """What does the suite's work with so many workers on so many devices each."""
    from fusionbench.engines.gpus import refuse_too_many, refuse_uneven, visible_gpus, workers_by_default
    from fusionbench.engines.runner import Runner
    from fusionbench.records.environment import emulates_bfloat16

    place = place_of(options, suite)
    gpus, devices = visible_gpus(), 1 if options.devices is None else options.devices
    refuse_too_many(devices, gpus, os.cpu_count() or 1)
    refuse_uneven(devices, suite.budget.batch_size)
    if not gpus and suite.budget.precision == "bf16-mixed" and emulates_bfloat16():
        text = "this processor does not compute in bfloat16, torch emulates it, many times slower; faster here:"
        print(f"precision bf16-mixed: {text} --set budget.precision=32-true", file=sys.stderr)
    workers = options.workers or workers_by_default(devices, gpus, cores())
    return Runner(suite, place, workers, watcher, devices, gpus, options.keep_encodings)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def watcher_for(options: argparse.Namespace, total: int, already: int) -> LineWatcher | LiveWatcher:
    """A live display on a terminal, lines in a pipe."""
    from rich.console import Console

    from fusionbench.cli.progress import LineWatcher, LiveWatcher

    console = Console()
    if console.is_terminal and not options.debug:
        return LiveWatcher(total, already, console)
    return LineWatcher(total, already, lambda line: print(line, flush=True))


def show_report(suite: Suite, store: Store) -> None:
    """Write tables and pictures, print the table and the paths."""
    from fusionbench.report.write import terminal_table

    paths = written(suite, store)
    print(terminal_table(suite, store))
    if paths:
        print("written:")
    for path in paths:
        print(f"  {path}")


def written(suite: Suite, store: Store) -> list[Path]:
    """The files of the report; none, and one line that says why, where they cannot be written."""
    from fusionbench.report.write import write_report

    try:
        return write_report(suite, store, lambda line: print(line, file=sys.stderr))
    except OSError as error:
        print(f"not written: {error.filename or store.root}: {error.strerror or error}", file=sys.stderr)
        return []


def tell(store: Store) -> None:
    """The invalid files that were moved aside."""
    for line in store.set_aside:
        print(line, file=sys.stderr)


def counted(counts: Counter[str]) -> str:
    """`3 done, 1 failed`."""
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "nothing to do"
