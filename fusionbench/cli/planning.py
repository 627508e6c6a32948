"""`fusionbench plan`: the runs, their keys, which are done, and how long the others take."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fusionbench.cli.suites import counted, watchers, work_of
from fusionbench.core.durations import in_words
from fusionbench.plan.names import track_label, trial_label
from fusionbench.records.trials import all_trials

if TYPE_CHECKING:
    from fusionbench.api.foresight import Foresight
    from fusionbench.api.timing import Untimed
    from fusionbench.api.work import Work

LONGEST = 3
"""So many of the rows that take longest are named."""


def show_plan(options: argparse.Namespace) -> None:
    """Print a line for each trial and run, their numbers, and how long what is left takes.

    Raises:
        UserError: with --time, as a run would.
    """
    work = work_of(options)
    untimed = time_here(work, debug=options.debug) if options.time else []
    counts: Counter[str] = Counter()
    trials = all_trials(work.runs, work.store)
    for run in (*trials, *work.runs):
        status, folder = work.store.status(run), work.store.path(run).parent
        counts[status] += 1
        names = f"{folder.parent.name}  {folder.name}"
        names += f"  {track_label(run.track)}" if len(work.suite.tracks) > 1 else ""
        names += f"  {trial_label(run)}" if run.role == "trial" else ""
        print(f"{run.key}  {status:8}  seed {run.seed}  {names}")
    also = f" and {len(trials)} trials before them, as far as is known by now" if trials else ""
    print(f"{work.suite.name}: {len(work.runs)} runs{also}; {counted(counts)}")
    # Asked for or not: what reads the list of runs finds nothing else at its end.
    for line in how_long(work, options.suite, untimed, timed=options.time):
        print(line, file=sys.stdout if options.time else sys.stderr)


def time_here(work: Work, *, debug: bool) -> Sequence[Untimed]:
    """Time those rows of which nothing is known; those that could not be."""
    from fusionbench.api.progress import silent
    from fusionbench.api.timing import time_rows, to_time

    quiet = silent(0, 0)
    jobs = to_time(work.foresight(work.runner(quiet, quiet.told)))
    if not jobs:
        return []
    with watchers(debug=debug)(len(jobs), 0) as watcher:
        return time_rows(work.foresight(work.runner(watcher, watcher.told)), jobs)


def how_long(work: Work, suite: str, untimed: Sequence[Untimed], *, timed: bool) -> Iterator[str]:
    """How long what is left takes; or how to find out."""
    from fusionbench.api.progress import silent

    quiet = silent(0, 0)
    foresight = work.foresight(work.runner(quiet, lambda _: None))
    if not foresight.waiting():
        return
    unknown = foresight.unknown()
    if unknown and not timed:
        yield f"how long that takes here: fusionbench plan {suite} --time"
        return
    total, first = foresight.all_that_is_left(), foresight.first_seed()
    if total is not None and first is not None:
        yield _told(foresight, total, first)
        yield from _longest(foresight)
    for one in untimed:
        yield f"not timed, taken as others on average: {one.name}: {one.reason}"


def _told(foresight: Foresight, total: float, first: float) -> str:
    workers, suite = foresight.runner.workers, foresight.runner.suite
    with_all = f"{workers} worker{'s' * (workers > 1)}"
    one = f"; {in_words(first)} until the first seed is whole" if len(suite.seeds) > 1 else ""
    trials = bool(foresight.runner.trials(foresight.waiting()))
    words = [*["with its trials"] * trials, *["at most"] * bool(suite.budget.patience)]
    also = f" ({', '.join(words)})" if words else ""
    return f"what is left takes about {in_words(total)}{also} on this machine with {with_all}{one}"


def _longest(foresight: Foresight) -> Iterator[str]:
    """The rows whose runs take longest, where there are many."""
    from fusionbench.api.timing import name_of

    rows = {foresight.estimates.row_of(run): run for run in foresight.waiting()}
    known = [(seconds, run) for run in rows.values() if (seconds := foresight.estimates.of_run(run)) is not None]
    if len(known) > LONGEST:
        slow = sorted(known, key=lambda pair: -pair[0])[:LONGEST]
        yield "  longest: " + ", ".join(f"{name_of(run)} {in_words(seconds)} a run" for seconds, run in slow)
