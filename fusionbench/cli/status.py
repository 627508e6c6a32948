"""`status`: how far a suite is, as text or JSON, once or again and again."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fusionbench.core.errors import UserError
from fusionbench.core.output import printable
from fusionbench.plan.names import track_label, trial_label
from fusionbench.records.status import RUNNING, WAITING, Standing, Status, SuiteFolder, Working
from fusionbench.records.store import JOBS, Store

if TYPE_CHECKING:
    from fusionbench.api.work import Work

BAD = ("failed", "diverged", "foreign")
ORDER = ("done", RUNNING, *BAD, "skipped", WAITING)
SHOWN = 20
"""Lines of a part of the text; the JSON has all."""
BAR = 30
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def report_status(options: argparse.Namespace, work: Work) -> None:
    """Print how far it is; with --watch until nothing is left, or Ctrl-C.

    Raises:
        UserError: no such results folder, or no pause between two looks.
    """
    if not work.results.is_dir():
        raise UserError(f"{work.results}: no such folder; name the one that holds the records with --results")
    if options.watch is not None and not options.watch > 0:
        raise UserError(f"--watch {options.watch:g}: give the seconds between two looks, above 0")
    folder = SuiteFolder(work.runs, Store(work.results, work.suite.name, read_only=True))
    try:
        for number, status in enumerate(_looks(folder, options.watch)):
            text = _json(work, status, options.watch) if options.format == "json" else "\n".join(_lines(work, status))
            _show(text, number, again=options.watch is not None and options.format != "json")
    except KeyboardInterrupt:  # How watching ends; nothing was interrupted.
        return


def _looks(folder: SuiteFolder, pause_s: float | None) -> Iterator[Status]:
    while True:
        status = folder.look()
        yield status
        if pause_s is None or status.is_over:
            return
        time.sleep(pause_s)


def _show(text: str, number: int, *, again: bool) -> None:
    """On a terminal each look takes the place of the one before; in a pipe they follow each other."""
    if again and sys.stdout.isatty():
        print("\x1b[H\x1b[2J\x1b[3J", end="")
    elif again and number:
        print()
    print(text, flush=True)


# --- text ------------------------------------------------------------------------------------------------------------


def _lines(work: Work, status: Status) -> Iterator[str]:
    total, ended = len(status.standings), sum(status.counts[name] for name in ("done", *BAD, "skipped"))
    counts = ", ".join(f"{status.counts[name]} {name}" for name in ORDER if status.counts[name]) or "nothing to do"
    yield f"{work.suite.name} in {work.results}: {total} runs; {counts}"
    full = round(BAR * ended / total) if total else BAR
    yield f"[{'#' * full}{'.' * (BAR - full)}] {ended}/{total}, {_end(status)}"
    yield from _running(status)
    yield from _bad(status)
    yield from _waiting(status)
    jobs = work.store.root / JOBS
    if jobs.is_dir() and not status.is_over:
        yield f"jobs: what they say lies in {jobs}"
    yield from _cut("notes", [printable(note) for note in status.notes])


def _end(status: Status) -> str:
    if status.is_over:
        return "nothing left to do"
    if status.left_s:
        return f"about {lasting(status.left_s)} left, until about {_clock(status.left_s)}"
    if status.counts[RUNNING] or not status.counts[WAITING]:
        return "time left not known"
    work = f" ({lasting(status.work_s)} for one worker)" if status.work_s else ""
    return f"no run goes on now{work}"


def _running(status: Status) -> Iterator[str]:
    lines = [f"{_named(one)}  {_working(one.working)}" for one in status.of(RUNNING) if one.working]
    yield from _cut("running", lines)
    lines = [f"{_named(one)}  {_working(one.working)}" for one in status.of("done") if one.working]
    yield from _cut("done, measures being taken", lines)
    lines = [f"{folder.name}  {_working(working, 'cell')}" for folder, working in status.sessions]
    yield from _cut("timing (latency sessions)", lines)


def _working(working: Working, unit: str = "epoch") -> str:
    """`node7, process 4711, epoch 12/20, about 40 s left`."""
    parts = [f"{printable(working.host) or 'a host that does not say its name'}, process {working.pid}"]
    parts += [f"{unit} {working.done}/{working.total}"] if working.total else []
    parts += [f"about {lasting(working.left_s)} left"] if working.left_s is not None else []
    parts += [f"try {working.tries}, it hung before"] if working.tries > 1 else []
    if not working.is_heard:
        parts.append(f"not heard of for {lasting(working.heard_s)}: gone, or its clock is behind")
    return ", ".join(parts)


def _bad(status: Status) -> Iterator[str]:
    """Runs that failed of the same reason together: one mistake may fail hundreds."""
    for name in (*BAD, "skipped"):
        found = sorted(status.of(name), key=lambda one: one.reason)
        groups = [(reason, list(group)) for reason, group in groupby(found, key=lambda one: one.reason)]
        groups.sort(key=lambda group: -len(group[1]))
        yield from _cut(name, [line for reason, group in groups for line in _group(reason, group)])


def _group(reason: str, group: Sequence[Standing]) -> Iterator[str]:
    yield f"{printable(reason) or 'no reason is told'}{f' ({len(group)} runs)' if len(group) > 1 else ''}"
    for one in group[:3]:
        yield f"  {_named(one)}" + (f", its output in {one.log}" if one.has_log else "")
    if len(group) > 3:
        yield f"  and {len(group) - 3} more"


def _waiting(status: Status) -> Iterator[str]:
    waiting = status.of(WAITING)
    if waiting:
        yield f"waiting: {len(waiting)}, the next {_named(waiting[0])}"


def _named(standing: Standing) -> str:
    run = standing.run
    at = trial_label(run) if run.role == "trial" else f"seed {run.seed}"
    return f"{run.key}  {standing.dataset} / {standing.strategy}, {at}"


def _cut(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN} lines more; --format json has all"


def lasting(seconds: float) -> str:
    """A time in the unit that fits it.

    >>> [lasting(seconds) for seconds in (7.2, 200.0, 5400.0, 400_000.0)]
    ['7 s', '3 min', '1 h 30 min', '4 days 15 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        minutes = round(seconds / MINUTE)
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / HOUR)
    return f"{hours // 24} days {hours % 24} h"


def _clock(seconds: float) -> str:
    end = datetime.now().astimezone() + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if seconds < DAY / 2 else f"{end:%a %d %b %H:%M}"


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(work: Work, status: Status, watch: float | None) -> str:
    """One document; when watching, each on a line of its own."""
    now = datetime.now().astimezone()
    end = None if status.left_s is None else (now + timedelta(seconds=status.left_s)).isoformat(timespec="seconds")
    facts = {
        "suite": work.suite.name,
        "results": str(work.results),
        "at": now.isoformat(timespec="seconds"),
        "counts": dict(status.counts),
        "left_s": status.left_s,
        "work_s": status.work_s,
        "estimated_end": end,
        "runs": list(_runs(status.standings)),
        "latency_sessions": [{"dataset": folder.name, **asdict(working)} for folder, working in status.sessions],
        "notes": list(status.notes),
    }
    return json.dumps(facts, indent=None if watch else 1, sort_keys=True, allow_nan=False)


def _runs(standings: Iterable[Standing]) -> Iterator[dict[str, Any]]:
    for one in standings:
        run = one.run
        facts = {
            "key": run.key,
            "dataset": one.dataset,
            "strategy": one.strategy,
            "track": track_label(run.track),
            "seed": run.seed,
            "role": run.role,
            "status": one.status,
        }
        if one.reason:
            facts["reason"] = one.reason
        if one.seconds:
            facts["seconds"] = one.seconds
        if one.working:
            facts["running"] = asdict(one.working)
        if one.has_log:
            facts["log"] = str(one.log)
        yield facts
