"""`fusionbench verify`: one published run trained again; a sentence that says which rule held, or what differs."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fusionbench.api.work import Work
from fusionbench.cli.suites import watchers
from fusionbench.engines.again import OtherData, run_again, trained_again
from fusionbench.engines.gpus import refuse_too_many, refuse_uneven, visible_gpus
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Suite
from fusionbench.records.agreement import FIRST_EPOCH, ROWS, SPREADS, Number, Verdict, compared
from fusionbench.records.environment import environment
from fusionbench.records.find import Found, find
from fusionbench.records.verified import mark_verified

MOST = 12
"""Numbers that are shown."""


def report_verified(options: argparse.Namespace) -> bool:
    """Train, compare, print; whether the record is confirmed.

    Raises:
        UserError: no such record, or nothing to train or compare; one line.
    """
    found = find(Path(options.results), options.key)
    verdict = _verified(found, options)
    run = found.record.run
    name = f"{found.record.key} ({slug('dataset', run.dataset)} / {slug('strategy', run.strategy)}, seed {run.seed})"
    for line in lines(name, verdict):
        print(line)
    if options.mark and verdict.holds:
        mark_verified(
            Path(options.mark), found, verdict, environment(), datetime.now(UTC).isoformat(timespec="seconds")
        )
        print(f"marked as verified: {options.mark}")
    return verdict.holds


def lines(name: str, verdict: Verdict) -> Iterator[str]:
    """What is printed: one sentence where the record holds, else what differs as well."""
    if verdict.holds:
        yield f"{name}: {_sentence(verdict)}"
        return
    yield f"{name}: NOT confirmed. {_failure(verdict)}"
    yield from _table(verdict.outside)
    yield f"data: {'; '.join(verdict.data) or 'the same'}"
    yield f"environment: {'; '.join(verdict.environment) or 'the same, as far as both state it'}"


def _verified(found: Found, options: argparse.Namespace) -> Verdict:
    record, run = found.record, run_again(found)
    threads = record.threads if options.threads is None else options.threads
    devices = record.devices if options.devices is None else options.devices
    gpus = visible_gpus()
    refuse_too_many(devices, gpus, os.cpu_count() or 1)
    refuse_uneven(devices, run.budget.batch_size)
    suite = Suite(found.suite, (run.dataset,), (), (run.seed,), (run.track,), run.budget, ())
    with tempfile.TemporaryDirectory(prefix="fusionbench-verify-") as folder:
        data = Path(options.data) if options.data else None
        stored = not options.no_stored_encodings
        work = Work(suite, (run,), Path(folder), data, threads=threads, stored_encodings=stored, debug=options.debug)
        place = work.place()
        with watchers(debug=options.debug)(1, 0) as watcher:
            try:
                again = trained_again(found, run, place, watcher, devices, gpus)
            except OtherData as error:
                return Verdict(data=(str(error),))
    return compared(record, again, found.other_seeds())


def _sentence(verdict: Verdict) -> str:
    if verdict.bytes_are_equal:
        although = f", although not all is the same ({'; '.join(verdict.unlike)})" if verdict.unlike else ""
        return f"confirmed, every score and curve byte for byte{although}."
    return (
        f"confirmed: every test score is within the larger of {ROWS} test rows and {SPREADS:g} times the standard "
        f"deviation of the row's other seeds, and the first epoch's curves within {FIRST_EPOCH:g}. The same bytes "
        f"could not be asked for ({'; '.join(verdict.unlike)})."
    )


def _failure(verdict: Verdict) -> str:
    if verdict.ended:
        return f"This time it ended {verdict.ended}."
    if not verdict.outside:
        return "The data are others, so it is another cell."
    if verdict.unlike:
        return (
            f"A test score is further away than {ROWS} test rows and {SPREADS:g} times the standard deviation of the "
            f"row's other seeds, or a curve than {FIRST_EPOCH:g} after the first epoch:"
        )
    return "Processor, torch, threads and variables are the same, so every number has to be; these are not:"


def _table(outside: tuple[Number, ...]) -> Iterator[str]:
    if outside:
        yield f"  {'':34}{'published':>14}{'now':>14}{'apart':>12}{'allowed':>12}"
    for one in outside[:MOST]:
        now, apart = ("-", "-") if one.now is None else (f"{one.now:.8g}", f"{abs(one.now - one.then):.2g}")
        yield f"  {one.name:34}{one.then:>14.8g}{now:>14}{apart:>12}{one.allowed:>12.2g}"
    if len(outside) > MOST:
        yield f"  and {len(outside) - MOST} more"
