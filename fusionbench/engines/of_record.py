"""A job about the trained model of one record: from its weights where they are kept, else it is trained again."""

from __future__ import annotations

from collections.abc import Callable

from fusionbench.bench.jobs import Job, Message, Place
from fusionbench.engines.again import run_again, suite_of
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Watcher
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import RunSpec
from fusionbench.records.find import Found
from fusionbench.records.weights import checked_weights


def done_with_model(
    found: Found, place: Place, watcher: Watcher, gpus: tuple[str, ...], make: Callable[[RunSpec], Job]
) -> Message:
    """Do the job, in one worker; the record and what lies beside it stay as they are.

    Args:
        found: the record.
        place: the results folder that it lies in, and the data.
        watcher: shows what happens.
        gpus: those that a repeat may use.
        make: makes the job.

    Raises:
        UserError: it is not done, its plug-ins or data are others here, its weights are damaged, or the job failed.
        KeyboardInterrupt: stopped.
    """
    run_again(found)  # Of a record that trials chose for, what it gives has another key: that of no weights.
    run = found.record.run
    runner = Runner(suite_of(found, run), place, 1, watcher, 1, gpus)
    if checked_weights(runner.store, run) is None:
        watcher.told(f"{run.key} has no weights here (`keep: weights` in a suite keeps them): it is trained again")
    try:
        runner.prepare_all([run])
        ((_, message),) = runner.pool.run([make(run)], JobFiles(runner.store))
    finally:
        runner.encodings.forget()
        runner.encodings.forget_trunks()
        runner.store.sweep()
    return message
