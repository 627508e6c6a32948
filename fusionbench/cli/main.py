"""The command line: one function per verb, each importing only what it needs, so that help and lists answer at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fusionbench.cli.arguments import parser

if TYPE_CHECKING:
    from fusionbench.plan.suite import RunSpec, Suite
    from fusionbench.records.store import Store

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
AGAIN = ("failed", "diverged", "skipped")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code: 0 done, 1 some run failed or diverged, 2 wrong use or bad data, 130 interrupted."""
    options = parser().parse_args(arguments)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # So that a suite may name the user's own modules.
    try:
        return VERBS[options.verb](options)
    except KeyboardInterrupt:
        print("interrupted; what is done is kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `fusionbench list | head` is no error.
        return DONE
    except Exception as error:
        from fusionbench.core.errors import UserError

        if options.debug:
            raise
        if isinstance(error, UserError):
            print(f"fusionbench: {error}", file=sys.stderr)
        elif isinstance(error, OSError) and error.strerror:
            print(f"fusionbench: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        else:
            print(f"fusionbench: {type(error).__name__}: {error} (a bug: --debug shows where)", file=sys.stderr)
        return WRONG_USE


# --- verbs -----------------------------------------------------------------------------------------------------------


def list_(options: argparse.Namespace) -> int:
    """What a suite may name."""
    from fusionbench.cli.listing import listing

    print(listing(options.what))
    return DONE


def plan(options: argparse.Namespace) -> int:
    """The runs, their keys, and which are done."""
    from fusionbench.plan.load import slug

    suite, store, runs = _selected(options)
    counts: Counter[str] = Counter()
    for run in runs:
        record = store.read(run)
        status = record.status if record else "to do"
        counts[status] += 1
        names = f"{slug('dataset', run.dataset)}  {slug('strategy', run.strategy)}"
        print(f"{run.key}  {status:8}  seed {run.seed}  {names}")
    print(f"{suite.name}: {len(runs)} runs; {_counted(counts)}")
    return DONE


def prepare(options: argparse.Namespace) -> int:
    """Download, verify, convert; no training."""
    from fusionbench.bench.run import Runner

    suite, _, runs = _selected(options)
    with _watcher(options, 0, 0) as watcher:
        Runner(suite, _place(options, suite), options.workers, watcher).prepare(runs)
    print(f"{suite.name}: data ready")
    return DONE


def run(options: argparse.Namespace) -> int:
    """Train, measure, time, report."""
    from fusionbench.bench.run import Runner

    suite, store, runs = _selected(options)
    again = frozenset(word for word in (options.again or "").split(",") if word)
    if not again <= set(AGAIN):
        from fusionbench.core.errors import UserError

        raise UserError(f"--again {options.again}: give one or more of {','.join(AGAIN)}")
    records = [store.read(one) for one in runs]
    already = sum(record is not None and record.status not in again for record in records)
    with _watcher(options, len(runs), already) as watcher:
        runner = Runner(suite, _place(options, suite), options.workers, watcher)
        counts = runner.run(runs, again)
        latency = suite.measure("latency")
        if latency is not None and counts["done"]:
            runner.latency(runs, latency.options, anew=False)
    _tell(store)
    _report(suite, store)
    if options.wandb:
        from fusionbench.cli.publishing import mirror_finished

        mirror_finished(options, suite, store, runs)
    print(f"{suite.name}: {_counted(counts)}")
    return SOME_FAILED if counts["failed"] or counts["diverged"] or counts["missing"] else DONE


def latency(options: argparse.Namespace) -> int:
    """A latency session alone."""
    from fusionbench.bench.run import Runner
    from fusionbench.core.catalogue import checked_options, describe

    suite, store, runs = _selected(options)
    choice = suite.measure("latency")
    chosen = choice.options if choice else checked_options(describe("measure", "latency"), {}, lambda *_: "latency")
    with _watcher(options, 0, 0) as watcher:
        runner = Runner(suite, _place(options, suite), 1, watcher)
        runner.prepare(runs)
        paths = runner.latency(runs, chosen, anew=True)
    _report(suite, store)
    for path in paths:
        print(path)
    return DONE


def report(options: argparse.Namespace) -> int:
    """Tables and pictures from the records that are there."""
    from fusionbench.report.write import printed, write_report

    suite, store, _ = _selected(options)
    if options.format:
        write_report(suite, store)
        print(printed(suite, store, options.format), end="")  # This alone: it goes into a file or a paper.
    else:
        _report(suite, store)
    _tell(store)
    return DONE


def push(options: argparse.Namespace) -> int:
    """Mirror to W&B what was not sent yet."""
    from fusionbench.cli.publishing import mirror_records

    suite, store, runs = _selected(options)
    mirror_records(options, suite, store, runs)
    _tell(store)
    return DONE


def cite(options: argparse.Namespace) -> int:
    """BibTeX of what the suite uses."""
    from fusionbench.report.cite import bibliography

    _, _, runs = _selected(options)
    print(bibliography(runs), end="")
    return DONE


def check(options: argparse.Namespace) -> int:
    """Every record below a results folder valid and in its place."""
    from fusionbench.records.store import Store

    root = Path(options.results)
    problems = [line for folder in sorted(root.glob("*/")) for line in Store(root, folder.name).lint()]
    for line in problems:
        print(line)
    print(f"{root}: {len(problems)} problems" if problems else f"{root}: all records valid and in their place")
    return SOME_FAILED if problems else DONE


VERBS = {
    "list": list_,
    "plan": plan,
    "prepare": prepare,
    "run": run,
    "latency": latency,
    "report": report,
    "push": push,
    "cite": cite,
    "check": check,
}


# --- what verbs share ------------------------------------------------------------------------------------------------


def _selected(options: argparse.Namespace) -> tuple[Suite, Store, list[RunSpec]]:
    from fusionbench.plan.load import load_suite
    from fusionbench.plan.select import only, shard
    from fusionbench.records.store import Store

    suite = load_suite(options.suite, options.set)
    runs = only(suite.runs(), options.only)
    return suite, Store(Path(options.results), suite.name), shard(runs, options.shard)


def _place(options: argparse.Namespace, suite: Suite):  # type: ignore[no-untyped-def]
    from fusionbench.bench.jobs import Place
    from fusionbench.core.errors import UserError
    from fusionbench.records.environment import environment

    if options.workers < 1 or options.threads < 1:
        raise UserError("--workers and --threads: give a number from 1 on")
    data = Path(options.data) if options.data else None
    if data is not None and not data.is_dir():
        raise UserError(
            f"--data {data}: no such folder; create it (mkdir -p {data}) or name the one that holds the data"
        )
    return Place(Path(options.results), suite.name, data, options.threads, environment(), options.debug)


def _watcher(options: argparse.Namespace, total: int, already: int):  # type: ignore[no-untyped-def]
    from rich.console import Console

    from fusionbench.cli.progress import LineWatcher, LiveWatcher

    console = Console()
    if console.is_terminal and not options.debug:
        return LiveWatcher(total, already, console)
    return LineWatcher(total, already, lambda line: print(line, flush=True))


def _report(suite: Suite, store: Store) -> None:
    from fusionbench.report.write import terminal_table, write_report

    paths = write_report(suite, store)
    print(terminal_table(suite, store))
    print("written:")
    for path in paths:
        print(f"  {path}")


def _tell(store: Store) -> None:
    for line in store.set_aside:
        print(line, file=sys.stderr)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "nothing to do"
