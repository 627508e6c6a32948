"""`fusionbench.run`: a suite from plan to records, as `fusionbench run` does it, without a command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fusionbench.api.beside import done, planned_beside, told
from fusionbench.api.callables import Strategy, name_of, named, named_in
from fusionbench.api.limits import TimeLimit, of_call, warned, whole_seeds, without_latency
from fusionbench.api.results import Results
from fusionbench.api.work import Work, listed, planned, statuses
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import ranks_under_torchrun
from fusionbench.plan.configuration import chosen_engine
from fusionbench.plan.engines import Slurm
from fusionbench.plan.suite import RunSpec
from fusionbench.records.checkpoints import CHECKPOINT_AFTER_S
from fusionbench.records.claims import SILENT_AFTER_S
from fusionbench.records.trials import all_trials

if TYPE_CHECKING:
    from fusionbench.api.progress import Shown
    from fusionbench.bench.jobs import Job

Show = Callable[[int, int], "Shown"]
"""Makes a watcher, a context manager: of how many runs, and how many of them are done already."""


def run(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    *,
    strategies: Strategy | Sequence[Strategy] = (),
    settings: str | Sequence[str] = (),
    only: str | Sequence[str] = (),
    shard: str = "1/1",
    again: str | Sequence[str] = (),
    results: str | os.PathLike[str] = "results",
    data: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    devices: int | None = None,
    threads: int = 1,
    time_limit: float | None = None,
    stored_encodings: bool = True,
    keep_encodings: bool = False,
    checkpoint_after: float = CHECKPOINT_AFTER_S,
    silent_after: float = SILENT_AFTER_S,
    progress: bool = True,
    debug: bool = False,
    engine: str | None = None,
    engine_settings: Mapping[str, Any] = {},
) -> Results:
    """Train and measure what is not done of a suite; the same call goes on where one was stopped.

    It may be called anywhere: in a script (no `if __name__ == "__main__":` is needed), a notebook, or a thread.

    >>> result = run("quickstart", only="dataset=digits", results="results")  # doctest: +SKIP
    >>> print(result.table())  # doctest: +SKIP

    Args:
        suite: a suite file, the name of a shipped suite, or what such a file holds as a dict; there a strategy may be
            what builds a network, too.
        strategies: beside the suite's own: names, or what builds a network, as `fusionbench.compare` takes them. They
            alone are trained then, and stand in the tables with the records that are in `results`, if these were made
            from the same data under the same protocol.
        settings: laid over it, such as `budget.epochs=2`.
        only: which of its runs, such as `strategy=gated,late`.
        shard: `k/n`, share k of n of them, for n machines on one results folder.
        again: do runs again whose records have these statuses: failed, diverged, skipped.
        results: the folder of records.
        data: the data folder; None: $FUSIONBENCH_DATA or ~/.cache/fusionbench.
        workers: runs at a time; None: as many as the GPUs, or else cores, allow.
        devices: GPUs, or processes, that train a run together; None: one.
        threads: torch threads per run.
        time_limit: seconds; what is left out then is whole seeds as far as possible, and `left_out` names it.
        stored_encodings: whether frozen encoders run once, not in every step; scores are the same but for roundings.
        keep_encodings: whether what they gave stays in the data folder.
        checkpoint_after: seconds of training from which on a run keeps its state at epochs' borders, so as to go on
            after a kill.
        silent_after: a worker that neither computes nor says anything for so many seconds is ended and tried again,
            twice at most.
        progress: whether it is shown: bars in a notebook or on a terminal, else lines on standard error.
        debug: whether workers' output is shown.
        engine: local, slurm or ray; None: as the configuration file says, else local.
        engine_settings: of that engine, such as `{"address": "auto"}`; they go before the file's.

    Raises:
        UserError: wrong use or bad data; one or two lines say what, where and the way out.
        KeyboardInterrupt: stopped; what is done is recorded, and no process or claim is left.
    """
    refuse_torchrun("fusionbench.run")
    found, root = named_in(suite, Path(results)), Path(results)
    choice = listed(settings), listed(only), shard
    beside: tuple[RunSpec, ...] = ()
    if strategies:
        own = named(strategies, root / name_of(found))
        added = own if isinstance(own, list) else [own]
        made, runs, beside = planned_beside(found, added, "strategies:", *choice)
    else:
        made, runs = planned(found, *choice)
    folder = None if data is None else Path(data)
    how = workers, devices, threads, stored_encodings, keep_encodings, checkpoint_after, debug
    work = Work(made, runs, root, folder, *how, beside)
    work = replace(work, engine=chosen_engine(engine, engine_settings), silent_after=silent_after)
    return finish(work, statuses(listed(again)), shown(progress), of_call(time_limit))


def refuse_torchrun(name: str) -> None:
    """Raises UserError in one of several processes that torchrun has started: each would do everything."""
    if ranks_under_torchrun(os.environ) is not None:
        raise UserError(f"{name}: torchrun has started this process; have it start `-m fusionbench.cli run SUITE`")


def finish(work: Work, again: frozenset[str], show: Show, limit: TimeLimit | None = None, about: str = "") -> Results:
    """Train, measure and time what is not done of a piece of work.

    Args:
        work: what to do.
        again: do runs again whose records have these statuses.
        show: makes what shows how far it is.
        limit: nothing begins that would not be done by then.
        about: a sentence to begin with.

    Raises:
        UserError: wrong use, or bad data.
        KeyboardInterrupt: stopped.
    """
    from fusionbench.engines.deadline import Deadline
    from fusionbench.engines.runner import Runner

    if limit and isinstance(work.engine, Slurm):
        raise UserError("--for (time_limit): jobs of engine slurm have a limit of their own: --time")
    runs, store = work.runs, work.store
    about = " ".join(filter(None, (about, told(store, runs, work.beside) if work.beside else "")))
    pending = [run for run in runs if store.is_wanted(run, again)]
    trials = [trial for trial in all_trials(pending, store) if store.is_wanted(trial, again)]
    with show(len(runs) + len(trials), len(runs) - len(pending)) as watcher:
        if about:
            watcher.said(about)
        with work.started(watcher, watcher.told) as engine:
            foresight = work.foresight(engine) if limit and isinstance(engine, Runner) else None
            deadline = Deadline(limit.seconds, cost=foresight.estimates.of) if limit and foresight else None
            if limit and foresight and (warning := warned(limit, work.suite, runs, foresight)):
                watcher.told(warning)
            counts = engine.run(runs, again, deadline)
            latency = work.suite.measure("latency")
            untimed: list[Job] = []
            if latency is not None and counts["done"]:
                # Times compare within one session alone, so that what is beside is timed with it.
                timed = [*done(store, work.beside), *runs]
                engine.latency(timed, latency.options, anew=False, deadline=deadline)
                limited = deadline and isinstance(engine, Runner)
                untimed = [*cast(Runner, engine).untimed(timed, latency.options)] if limited else []
    suite, left_out = whole_seeds(work.suite, runs, store, limit, foresight)
    sessions = without_latency(limit, untimed, foresight) if limit and foresight else ""
    return Results(suite, store, counts, " ".join(filter(None, (left_out, sessions))), about)


def shown(progress: bool) -> Show:
    """What makes the display of a call: none, or what fits the place."""
    from fusionbench.api.progress import silent, watcher_here

    return watcher_here if progress else silent
