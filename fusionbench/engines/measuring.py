"""`fusionbench measure`: measures of runs that are done, from their weights, or from a repeat where none are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionbench.bench.jobs import MeasureJob
from fusionbench.core.errors import UserError
from fusionbench.core.files import try_out
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.lacking import is_at_hand, lacking_measures
from fusionbench.engines.runner import Runner
from fusionbench.plan.measures import needs
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.weights import checked_weights


@dataclass(frozen=True)
class Measured:
    """What became of a call."""

    taken: int
    """Runs that have all measures now, and lacked one before."""
    not_done: int
    """Runs without a record that is done: there is nothing to measure."""
    failed: int
    """Runs that still lack one."""


def measure_runs(runner: Runner, runs: Sequence[RunSpec], measures: Sequence[Choice]) -> Measured:
    """Take measures of those of the runs that are done and lack one; whole seeds first, so that tables fill up.

    Args:
        runner: of the suite.
        runs: those that are wanted.
        measures: any that are taken of single runs.

    Raises:
        UserError: weights are damaged or of another version, the data are others, or a measure needs all strategies.
        KeyboardInterrupt: stopped; what is there stays, the same call goes on.
    """
    for choice in measures:
        if needs(choice) == "session":
            raise UserError(f"'{choice.name}' times all strategies at once: fusionbench {choice.name} SUITE")
    store = runner.store
    runner.clear(runs)
    done = [run for run in runs if (record := store.read(run)) is not None and record.status == "done"]
    lacking = lacking_measures(store, measures, done)
    for run in lacking:
        checked_weights(store, run)  # Before anything begins: one that is damaged stops no work that is half done.
    again = [run for run in lacking if not is_at_hand(store, measures, run)]
    if again:
        runner.watcher.told(f"{len(again)} of {len(lacking)} runs have no weights and are trained again")
    if lacking:
        try_out(store.root)
        runner.prepare(lacking, measures=measures)
        files = JobFiles(store)
        try:
            runner.by_seed(lacking, lambda run: MeasureJob(runner.place, run, tuple(measures)), files)
            runner.encodings.forget()
            runner.encodings.forget_trunks()
        finally:
            store.sweep()
    failed = len(lacking_measures(store, measures, lacking))
    return Measured(len(lacking) - failed, len(runs) - len(done), failed)
