"""`fusionbench selftest`: what it found, as a table and one last line that says whether the machine is fine."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from fusionbench.api.work import Work
from fusionbench.cli.suites import watchers
from fusionbench.engines.gpus import refuse_too_many, refuse_uneven, visible_gpus
from fusionbench.engines.selftest import Compared, SelfTest
from fusionbench.plan.load import load_suite

SUITE = "selftest"


def report_selftest(options: argparse.Namespace) -> bool:
    """Train, compare, print; whether all is fine.

    Raises:
        UserError: there are not so many devices, or something else stops it before it can tell.
    """
    suite, gpus = load_suite(SUITE, []), visible_gpus()
    devices = options.devices if options.devices is not None else max(1, len(gpus)) if gpus else 2
    refuse_too_many(devices, gpus, os.cpu_count() or 1)
    refuse_uneven(devices, suite.budget.batch_size)
    with tempfile.TemporaryDirectory(prefix="fusionbench-selftest-") as folder:
        runs = tuple(suite.runs())
        place = Work(suite, runs, Path(folder), Path(options.data) if options.data else None).place()
        with watchers(debug=False)(2 * len(runs), 0) as watcher:
            test = SelfTest(suite, place, devices, gpus, watcher)
            found = test.run()
            backend, seconds = test.start_up()
    for line in _table(found, devices):
        print(line)
    if devices > 1:
        print(f"Backend: {backend}. A group of {devices} takes {seconds:.1f} s longer to start than one process.")
    print(verdict(found, test, backend))
    return all(one.is_fine for one in found)


def verdict(found: list[Compared], test: SelfTest, backend: str) -> str:
    """The last line: fine, or what is not and what to do."""
    bad = [one.strategy for one in found if not one.is_fine]
    if bad:
        way = "train with --devices 1, and report this output" if test.devices > 1 else "report this output"
        return f"NOT fine: {', '.join(bad)}; {way}"
    if test.devices == 1:
        return "fine: everything trains, and a second time to the same scores, byte for byte"
    return f"fine: {test.devices} devices ({backend}) give the test scores of one, to {test.tolerance:g}"


def _table(found: list[Compared], devices: int) -> list[str]:
    head = f"{'strategy':26}{'largest difference':>20}{'s on 1':>10}{f's on {devices}':>10}"
    rows = []
    for one in found:
        difference = "-" if one.difference is None else f"{one.difference:.1e}"
        row = f"{one.strategy:26}{difference:>20}{one.seconds[0]:>10.1f}{one.seconds[1]:>10.1f}"
        rows.append(f"{row}  {one.reason}".rstrip() if one.reason else row)
    return [head, *rows]
