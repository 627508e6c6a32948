"""Readers of files fuzzed by hypothesis: nothing but success or the one clear error, whatever bytes they get.

    python tests/fuzz/fuzzing.py [--inputs 100000] [--minutes 40] [--readers suite,record] [--seed 1]

Inputs are real files, edited: a short program of edits is what hypothesis draws, and makes as short as it can when a
reader fails. Looked at besides: that an error is one or two lines, that no file is changed outside a folder, that
nothing is executed and nothing is started (guard.py). Ends with an error if a reader fails, or has too few inputs that
get past its first check, since the rest tests nothing else. Two readers at a time; one that is slow has what inputs fit
into its share of the minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TextIO

for folder in ("fuzz", "data"):  # As a program of its own; pytest knows them by pyproject.toml.
    sys.path.append(str(Path(__file__).parent.parent / folder))

from edits import Program  # noqa: E402
from guard import Guard  # noqa: E402
from hypothesis import HealthCheck, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from read_data import Archives, CifarBatches, TFRecords  # noqa: E402
from read_models import Encodings, Weights  # noqa: E402
from read_plans import Manifests, Records, Suites  # noqa: E402
from readers import Reader  # noqa: E402

READERS: dict[str, type[Reader]] = {
    one.name: one for one in (TFRecords, CifarBatches, Archives, Suites, Manifests, Records, Weights, Encodings)
}
LONGEST_PROGRAM = 40
"""Bytes: some five edits."""
TURN = 2000
LEAST_PASSED = 0.3
"""Of all inputs."""
MEMORY = "/dev/shm"
"""Where there is one, inputs lie in folders of their own there: on a disk, removing them takes longer than all else."""
QUIET = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
GUARD = Guard()


@dataclass
class Tally:
    """What came of a reader's inputs."""

    inputs: int = 0
    passed: int = 0
    """Got past the first check."""
    read: int = 0
    """Were read to the end."""
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """That got past the first check."""
        return self.passed / max(1, self.inputs)


class Fuzzed:
    """One reader, and the folder that it may write into."""

    def __init__(self, reader: Reader, around: Path) -> None:
        self.reader, self.around, self.tally = reader, around, Tally()
        self.inside = around / "inside"
        self.beside = around / "beside"
        self.beside.write_text("stays as it is")

    def turn(self, inputs: int, start: int) -> None:
        """So many inputs; whatever fails is raised, with the shortest input that does."""
        began = time.perf_counter()

        @seed(start)
        @settings(QUIET, max_examples=inputs)
        @given(st.binary(max_size=LONGEST_PROGRAM))
        def holds(program: bytes) -> None:
            self.one(program)

        with self.reader.ready():
            holds()
        self.tally.seconds += time.perf_counter() - began
        assert sorted(self.around.iterdir()) == sorted([self.inside, self.beside])
        assert self.beside.read_text() == "stays as it is"

    def one(self, program: bytes) -> None:
        """One input."""
        files = self.reader.make(Program(program))
        self.tally.inputs += 1
        self.tally.passed += self.reader.passes(files)
        if self.inside.exists():
            shutil.rmtree(self.inside)
        self.inside.mkdir()
        for name, content in files.items():
            (self.inside / name).write_bytes(content)
        try:
            with GUARD.watching(self.inside), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Torch doubts some pickles before it refuses them.
                self.reader.read(self.inside, files)
        except self.reader.refused as error:
            said = str(error)
        else:
            said = "fine"
            self.tally.read += 1
        assert len(said.splitlines()) in (1, 2), f"an error of other than one or two lines: {said!r}"
        assert len(said) < 2000, f"an error of {len(said)} characters: {said[:200]}"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for inputs, in memory if possible; removed afterwards."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


def fuzz(name: str, inputs: int, minutes: float, start: int) -> tuple[Tally, str]:
    """A reader with so many inputs, or for so long; what came of it, and how it failed if it did."""
    end = time.monotonic() + 60 * minutes
    with scratch() as around:
        fuzzed = Fuzzed(READERS[name](), around)
        while (left := inputs - fuzzed.tally.inputs) > 0 and time.monotonic() < end:
            try:
                fuzzed.turn(min(TURN, left), start * 1_000_003 + fuzzed.tally.inputs)
            except Exception:  # noqa: BLE001  (told at the end; the other readers go on)
                return fuzzed.tally, traceback.format_exc()
    return fuzzed.tally, ""


def say(line: str, to: TextIO = sys.stdout) -> None:
    """At once, also into a file or a pipe."""
    to.write(f"{line}\n")
    to.flush()


def row(name: str, tally: Tally) -> str:
    """What came of one, for the table."""
    shares = f"{tally.share:.0%} | {tally.read / max(1, tally.inputs):.0%}"
    each = 1000 * tally.seconds / max(1, tally.inputs)
    return f"| {name} | {READERS[name].first_check} | {tally.inputs:,} | {shares} | {each:.1f} |"


def main() -> None:
    """All readers, two at a time, each with its share of the time."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=100_000, help="of each reader")
    options.add_argument("--minutes", type=float, default=40.0, help="in all")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--readers", default=",".join(READERS))
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    names = chosen.readers.split(",")
    if wrong := [name for name in names if name not in READERS]:
        options.error(f"no reader {', '.join(wrong)}; there are {', '.join(READERS)}")
    minutes = chosen.minutes * chosen.workers / max(len(names), chosen.workers)
    tallies: dict[str, tuple[Tally, str]] = {}
    say("| reader | first check | inputs | past it | read to the end | ms each |")
    say("| :-- | :-- | --: | --: | --: | --: |")
    with ProcessPoolExecutor(chosen.workers, get_context("spawn"), max_tasks_per_child=1) as pool:
        found = {pool.submit(fuzz, name, chosen.inputs, minutes, chosen.seed): name for name in names}
        for one in as_completed(found):  # Told as they end: each took minutes.
            tally, failure = tallies[found[one]] = one.result()
            say(row(found[one], tally))
            if failure:
                say(f"\n{found[one]}:\n{failure}\n", sys.stderr)
    few = [name for name, (tally, _) in tallies.items() if tally.share < LEAST_PASSED]
    sys.exit(bool(few or any(failure for _, failure in tallies.values())))


if __name__ == "__main__":
    main()
