"""`fusionbench plan`: the runs, their keys, and which are done."""

from __future__ import annotations

import argparse
from collections import Counter

from fusionbench.cli.suites import counted, work_of
from fusionbench.plan.names import track_label, trial_label
from fusionbench.records.trials import all_trials


def show_plan(options: argparse.Namespace) -> None:
    """Print a line for each trial and run, and their numbers."""
    work = work_of(options)
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
