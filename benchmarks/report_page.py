"""How large a report page is, and how long a browser takes to open it.

    python benchmarks/report_page.py [--datasets 3] [--seeds 6] [--keep DIR]

Records are those of report_many.py: all strategies, whole records with curves, sizes and resamples, beside each one the
files of calibration, contribution and robustness as real runs leave them; the family is that of the suite
all_strategies. The page is opened three times in headless Chromium, each time by a new browser; it is open
once it is loaded, a data set's table is there and its first picture is drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from report_many import ROWS, make, suite_file

from fusionbench.cli.main import main as fusionbench
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store

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
            measure(runs, folder)
        page = written(suite, folder)
        print(f"page of {len(runs):,} runs: {page.stat().st_size / 1e6:.2f} MB")
        if COMMAND is None:
            raise SystemExit(f"not opened: {ABSENT}")
        open_it(page, len(load_suite(str(suite)).datasets) > 1)


def measure(runs: Sequence[RunSpec], folder: Path) -> None:
    """Files of the measures of trained models, with as many numbers as real ones."""
    store, rng = Store(folder / "results", "many"), np.random.default_rng(1)

    def some(count: int) -> list[float]:
        return rng.uniform(0, 1, count).tolist()

    def named(*names: str) -> dict[str, float]:
        return dict(zip(names, some(len(names)), strict=True))

    def bins() -> list[dict[str, float]]:
        return [
            {"count": 99, "from": at / 15, "to": (at + 1) / 15, **named("confidence", "accuracy")} for at in range(15)
        ]

    def noisy() -> dict[str, list[float]]:
        return {"accuracy": some(10), "nll": some(10)}

    steps = [at / 10 for at in range(1, 11)]
    for run in runs:
        scores = {part: named("brier", "ece", "nll") for part in ("test", "test_at_temperature")}
        risk = {"aurc": 0.1, "coverage": steps, "risk": sorted(some(10))}
        pictures = {part: bins() for part in ("reliability", "reliability_at_temperature")}
        store.publish_measure(run, "calibration", {**scores, **pictures, "selective": risk, "temperature": 1.1})
        together = {"values": named("", "a", "a+b", "b"), "shapley": named("a", "b"), "interaction": named("a+b")}
        drop = {modality: named("mean", "sd") for modality in ("a", "b")}
        gap = named("gap", "logits_apart", "projected", "score", "standard_error")
        store.publish_measure(run, "contribution", {**together, "drop": drop, "emap": gap})
        noise = {modality: {how: noisy() for how in ("blur", "dropout", "gaussian")} for modality in ("a", "b")}
        missing = {modality: noisy() for modality in ("a", "b")}
        clean = {"clean": named("accuracy", "nll"), "present": {modality: named("accuracy") for modality in ("a", "b")}}
        store.publish_measure(run, "robustness", {"severities": steps, "noise": noise, "missing": missing, **clean})


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
