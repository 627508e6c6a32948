"""Records to W&B: asked for as a verb, where failing is an error, or at the end of a run, where it never is."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.offline import files_root
from fusionbench.publish.places import Target
from fusionbench.publish.sending import Pushed, Told, push, record_runs, send
from fusionbench.records.store import WANDB, Store

if TYPE_CHECKING:
    from fusionbench.report.tables import Table


def target_of(options: argparse.Namespace) -> Target:
    """Where the command line sends to."""
    return Target(options.wandb, options.wandb_project, options.wandb_entity or os.environ.get("WANDB_ENTITY", ""))


def mirror_records(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """Send what was not sent yet, and say in one line what came of it.

    Raises:
        UserError: it cannot be sent; what was is remembered, what was not is kept, and the error says where.
    """
    with counting() as told:
        pushed = push(suite, store, runs, target_of(options), told)
    print(_came_to(options, store, pushed, "push"))


@contextmanager
def going_on() -> Iterator[None]:
    """Of a verb that sends: an error says that the same command goes on."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; the same command goes on with what is left") from error


def make_dashboard(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """Send what records and tables come to, then a workspace for each table and a report.

    Raises:
        UserError: no run is done, or it cannot be sent: the error says what is kept where.
    """
    from fusionbench.publish.dashboard import save, write_files
    from fusionbench.publish.summaries import table_group, table_runs

    found = finished_tables(suite, store)
    target = target_of(options)
    files = write_files(store, found, target.project)
    with going_on(), counting() as told:
        pushed = send(store, record_runs(suite, store, runs) | table_runs(suite, store, found), target, told)
    print(_came_to(options, store, pushed, "dashboard"))
    if target.mode == "offline":
        print("\n".join(["written:", *(f"  {path}" for path in files)]))
        return
    with going_on():
        saved = save(store, found, target)
    if saved.plain:
        print(f"W&B took no charts of ours, so bars have no intervals: {saved.plain}", file=sys.stderr)
    names = ["report", *(f"workspace of {table_group(table)}" for table in found)]
    for name, url in zip(names, saved.urls, strict=True):
        print(f"{name}: {url}")


def finished_tables(suite: Suite, store: Store) -> list[Table]:
    """The suite's tables, but for those of what is not begun.

    Raises:
        UserError: there is nothing to compare; says what to do.
    """
    from fusionbench.report.tables import tables

    found = list(tables(suite, store))
    states = Counter(outcome.state for table in found for row in table.rows for outcome in row.outcomes)
    if not states["done"]:
        again = [state for state in ("failed", "diverged") if states[state]]
        words = f" --again {','.join(again)}` does those runs again" if again else "` does its runs"
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        raise UserError(f"{store.root}: no finished run ({counts}); `fusionbench run {suite.name}{words}")
    return [table for table in found if table.is_begun]


def _came_to(options: argparse.Namespace, store: Store, pushed: Pushed, verb: str) -> str:
    """What a push came to, and what uploads files."""
    counts = [f"{pushed.sent} runs {'sent' if options.wandb == 'online' else 'written'}"]
    counts += [f"{pushed.already} were there already"] if pushed.already else []
    counts += [f"{pushed.missing} have no record yet"] if pushed.missing else []
    if not pushed.sent + pushed.already:
        counts[-1] += f"; `fusionbench run {options.suite}` makes them"
    if options.wandb == "online":
        return f"W&B, project {options.wandb_project}: {', '.join(counts)}"
    return f"W&B, {files_root(store) / WANDB}: {', '.join(counts)}; `{command(options, verb)}` uploads them"


def mirror_finished(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """The same after a run: what goes wrong is one line that says how to go on."""
    try:
        mirror_records(options, suite, store, runs)
    except UserError as error:
        print(f"{error}; the records are safe, go on with: {command(options, 'push', options.wandb)}", file=sys.stderr)


@contextmanager
def counting() -> Iterator[Told]:
    """Shows on a terminal how many runs are there; a pipe gets the line at the end alone."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    with console.status("W&B") as status:
        yield lambda done, total: status.update(f"W&B: {done} of {total} runs")


def command(options: argparse.Namespace, verb: str, mode: str = "online") -> str:
    """The command that goes on where this one stopped."""
    words = ["fusionbench", verb, options.suite]
    words += ["--results", options.results] if options.results != "results" else []
    words += [word for path in options.set for word in ("--set", path)]
    words += ["--wandb", mode] if mode != "online" else []
    words += ["--wandb-project", options.wandb_project] if options.wandb_project != "fusionbench" else []
    words += ["--wandb-entity", options.wandb_entity] if options.wandb_entity else []
    return shlex.join(words)
