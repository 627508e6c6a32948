"""Records to W&B: asked for as a verb, where failing is an error, or at the end of a run, where it never is."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.offline import files_root
from fusionbench.publish.places import Target
from fusionbench.publish.sending import Told, push
from fusionbench.records.store import WANDB, Store


def target_of(options: argparse.Namespace) -> Target:
    """Where the command line sends to."""
    return Target(options.wandb, options.wandb_project, options.wandb_entity or os.environ.get("WANDB_ENTITY", ""))


def mirror_records(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """Send what was not sent yet, and say in one line what came of it.

    Raises:
        UserError: it cannot be sent; what was is remembered, what was not is kept, and the error says how to go on.
    """
    with counting() as told:
        pushed = push(suite, store, runs, target_of(options), told)
    counts = [f"{pushed.sent} runs sent" if options.wandb == "online" else f"{pushed.sent} runs written"]
    counts += [f"{pushed.already} were there already"] if pushed.already else []
    counts += [f"{pushed.missing} have no record yet"] if pushed.missing else []
    if options.wandb == "online":
        print(f"W&B, project {options.wandb_project}: {', '.join(counts)}")
    else:
        print(f"W&B, {files_root(store) / WANDB}: {', '.join(counts)}; `{command(options, 'push')}` uploads them")


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
