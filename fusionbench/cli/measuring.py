"""`fusionbench measure` and `latency`: measures of runs that are done, taken later."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fusionbench.cli.suites import show_report, tell, watchers, work_of
from fusionbench.core.catalogue import checked_options, describe
from fusionbench.core.errors import UserError
from fusionbench.engines.measuring import measure_runs
from fusionbench.plan.measures import check_measures, needs
from fusionbench.plan.suite import Choice, Suite


def report_measured(options: argparse.Namespace) -> bool:
    """Take what is lacking, show the tables; whether nothing failed.

    Raises:
        UserError: no such measure, one that fits no data set, or weights that are not what they should be.
    """
    work = work_of(options)
    chosen = choices(work.suite, options.measures.split(",") if options.measures else [])
    with watchers(debug=options.debug)(0, 0) as watcher:
        found = measure_runs(work.runner(watcher, watcher.told), work.runs, chosen)
    tell(work.store)
    show_report(work.suite, work.store)
    failed = f", {found.failed} failed" if found.failed else ""
    missing = f"; {found.not_done} are not done: fusionbench run {options.suite}" if found.not_done else ""
    print(f"{work.suite.name}: {', '.join(one.name for one in chosen)}: {found.taken} runs measured{failed}{missing}")
    return not found.failed


def report_latency(options: argparse.Namespace) -> None:
    """A latency session for each table, whatever is there already; show the tables and its files."""
    work = work_of(options)
    chosen = work.suite.measure("latency") or by_default("latency")
    with watchers(debug=options.debug)(0, 0) as watcher:
        runner = work.runner(watcher, watcher.told)
        runner.prepare(work.runs)
        paths = runner.latency(work.runs, chosen.options, anew=True)
    show_report(work.suite, work.store)
    for path in paths:
        print(path)


def choices(suite: Suite, names: Sequence[str]) -> list[Choice]:
    """The measures of those names, with the suite's options where it has them; without names those of the suite.

    Raises:
        UserError: there is none of a name, or none at all.
    """
    if not names:
        found = [one for one in suite.measures if needs(one) != "session"]
        if not found:
            raise UserError("--measures: the suite lists none of single runs; name some: --measures calibration")
        return found
    found = [suite.measure(name) or by_default(name) for name in names]
    check_measures(found, suite.datasets, lambda number: f"--measures {names[number]}")
    return found


def by_default(name: str) -> Choice:
    """The measure of that name with its default options; UserError if there is none."""
    plugin = describe("measure", name)
    options = checked_options(plugin, {}, lambda *_: f"--measures {name}")
    return Choice(name, options, "" if plugin.shipped else plugin.source)
