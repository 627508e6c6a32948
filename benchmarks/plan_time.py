"""How good the hours are that `fusionbench plan SUITE --time` tells: what it says of a small suite, and what it took.

Rows are timed by a few steps, in a fresh data folder; then the suite really runs, with as many workers, and the two are
compared: for all of it, and row by row. It fails where they differ by more than a factor of four: what is asked for is
minutes or hours, and other programs run on most machines.

    python benchmarks/plan_time.py [--suite quickstart] [--set seeds=2 ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fusionbench.api.progress import silent
from fusionbench.api.timing import name_of, time_rows, to_time
from fusionbench.api.work import Work, planned
from fusionbench.records.timings import row_key

FACTOR = 4.0


def main() -> int:
    """Tell, run, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--suite", default="quickstart")
    options.add_argument("--set", action="append", default=[])
    chosen = options.parse_args()
    suite, runs = planned(chosen.suite, [*chosen.set] or ["seeds=2", "measures=[size]"])
    watcher = silent(0, 0)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(suite, runs, Path(folder) / "results", Path(folder))
        runner = work.runner(watcher, watcher.told)
        runner.prepare(runs)
        began = time.perf_counter()
        foresight = work.foresight(runner)
        untimed = time_rows(foresight, to_time(foresight))
        timed = time.perf_counter() - began
        told = foresight.all_that_is_left() or 0.0
        rows = {row_key(run): (name_of(run), foresight.estimates.of_run(run)) for run in runs}
        began = time.perf_counter()
        runner.run(runs)
        took = time.perf_counter() - began
        after = work.foresight(runner).estimates
        for key, (name, before) in rows.items():
            really = next(after.of_run(run) for run in runs if row_key(run) == key)
            print(f"{name:55} told {before or 0:6.1f} s   took {really or 0:6.1f} s")
    print(f"timed {len(rows)} rows in {timed:.1f} s; {len(untimed)} could not be")
    print(f"all: told {told:.0f} s, took {took:.0f} s with {runner.workers} workers: a factor of {told / took:.2f}")
    return int(not 1 / FACTOR < told / took < FACTOR)


if __name__ == "__main__":
    sys.exit(main())
