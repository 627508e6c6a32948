"""`fusionbench latency --forms`: sessions over forms of the trained models of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionbench.bench.jobs import LatencyJob
from fusionbench.core.errors import UserError
from fusionbench.core.files import try_out
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.rows import grouped, rows_of, table_name
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import RunSpec
from fusionbench.records.weights import checked_weights


def form_sessions(
    runner: Runner, runs: Sequence[RunSpec], options: dict[str, Any], forms: tuple[str, ...]
) -> list[Path]:
    """A session for each table, over the first done run of each of its rows.

    Args:
        runner: of the suite.
        runs: those that are wanted.
        options: of the measure `latency`.
        forms: which.

    Raises:
        UserError: no run is done, weights are damaged, or the data are others.
        KeyboardInterrupt: stopped.
    """
    store = runner.store
    runner.clear(runs)
    done = [run for run in runs if store.status(run) == "done"]
    chosen = [rows_of(found) for found in grouped(done, table_name)]
    if not chosen:
        raise UserError(f"no run of {runner.suite.name} is done: fusionbench run {runner.suite.name} trains them")
    every = [run for rows in chosen for run in rows.values()]
    again = [run for run in every if checked_weights(store, run) is None]
    if again:
        runner.watcher.told(f"{len(again)} of {len(every)} runs have no weights and are trained again")
    try_out(store.root)
    paths = []
    try:
        for rows in chosen:
            several = tuple(rows.values())
            runner.prepare_all(several)
            job = LatencyJob(runner.place, several, options, forms)
            # One worker alone: two at once would time each other.
            found = runner.make_pool(1, runner.watcher, runner.gpus).run([job], JobFiles(store))
            paths += [Path(message.facts["path"]) for _, message in found]
            runner.encodings.forget()
            runner.encodings.forget_trunks()
    finally:
        store.sweep()
    return paths
