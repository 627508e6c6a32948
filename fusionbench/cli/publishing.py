"""Records to W&B: asked for as a verb, where failing is an error, or at the end of a run, where it never is."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.wandb import Target, files_root, push
from fusionbench.records.store import WANDB, Store


def mirror_records(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """Send what was not sent yet, and say in one line what came of it.

    Raises:
        UserError: it cannot be sent; what was is remembered.
    """
    pushed = push(suite, store, runs, Target(options.wandb, options.wandb_project))
    counts = [f"{pushed.sent} runs sent" if options.wandb == "online" else f"{pushed.sent} runs written"]
    counts += [f"{pushed.already} were there already"] if pushed.already else []
    counts += [f"{pushed.missing} have no record yet"] if pushed.missing else []
    if options.wandb == "online":
        print(f"W&B, project {options.wandb_project}: {', '.join(counts)}")
    else:
        print(f"W&B, {files_root(store) / WANDB}: {', '.join(counts)}; `{_command(options, 'online')}` uploads them")


def mirror_finished(options: argparse.Namespace, suite: Suite, store: Store, runs: Sequence[RunSpec]) -> None:
    """The same after a run: what goes wrong is one line that says how to go on."""
    try:
        mirror_records(options, suite, store, runs)
    except UserError as error:
        print(f"{error}; the records are safe, go on with: {_command(options, options.wandb)}", file=sys.stderr)


def _command(options: argparse.Namespace, mode: str) -> str:
    """The push that goes on where this command stopped."""
    words = ["fusionbench", "push", options.suite]
    words += ["--results", options.results] if options.results != "results" else []
    words += [word for path in options.set for word in ("--set", path)]
    words += ["--wandb", mode] if mode != "online" else []
    words += ["--wandb-project", options.wandb_project] if options.wandb_project != "fusionbench" else []
    return shlex.join(words)
