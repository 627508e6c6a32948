"""How large a report page is, and how long a browser takes to open it.

    python benchmarks/report_page.py [--datasets 3] [--seeds 6] [--keep DIR]

Records are those of report_many.py: all strategies, whole records with curves, sizes and resamples; the family is that
of the suite all_strategies. The page is opened three times in headless Chromium, each time by a new browser; it is open
once it is loaded, a data set's table is there and its first picture is drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from report_many import ROWS, make, suite_file

from fusionbench.cli.main import main as fusionbench
from fusionbench.plan.load import load_suite

sys.path.append(str(Path(__file__).parents[1] / "tests" / "report"))

from headless import ABSENT, COMMAND, Browser

DRAWN = "document.querySelectorAll('section:not([hidden]) tbody tr').length > 0"
PICTURE = "document.querySelector('figure svg') !== null"
TIMES = 3


def main() -> None:
    """Make records and the page, then open it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--datasets", type=int, default=3)
    options.add_argument("--seeds", type=int, default=6)
    options.add_argument("--keep", metavar="DIR", help="make the records there once, and leave them and the page")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(chosen.keep or scratch)
        families = load_suite("all_strategies").families
        suite = suite_file(folder, chosen.datasets * chosen.seeds * ROWS, chosen.seeds, families)
        runs = list(load_suite(str(suite)).runs())
        if not (folder / "results" / "many").is_dir():
            make(runs, folder)
        page = written(suite, folder)
        print(f"page of {len(runs):,} runs: {page.stat().st_size / 1e6:.2f} MB")
        if COMMAND is None:
            raise SystemExit(f"not opened: {ABSENT}")
        open_it(page, len(load_suite(str(suite)).datasets) > 1)


def written(suite: Path, folder: Path) -> Path:
    """The page, and how long it took."""
    started = time.perf_counter()
    words = ["report", str(suite), "--results", str(folder / "results"), "--format", "html", "--no-pictures"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        if fusionbench(words):
            raise SystemExit("report failed")
    print(f"written in {time.perf_counter() - started:.1f} s, with all tables")
    return Path(said.getvalue().strip())


def open_it(page: Path, several: bool) -> None:
    """Print the seconds until it is loaded, and until the first picture of a table is drawn."""
    for _ in range(TIMES):
        with Browser() as browser:
            loaded = browser.open(page, "#part1" if several else "")
            started = time.perf_counter()
            browser.wait(DRAWN)
            browser.ask("document.querySelector('section:not([hidden]) figure').scrollIntoView()")
            browser.wait(PICTURE)
            drawn = time.perf_counter() - started
            print(f"opened in {loaded:.2f} s; first picture {drawn:.2f} s later; errors: {len(browser.errors)}")


if __name__ == "__main__":
    main()
