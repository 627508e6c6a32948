"""Where the state of a long run lies while it trains: beside its record, until that is there.

How long the run has trained stands in the comment of the file, which is a ZIP archive: it is read without torch.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store

CHECKPOINT = ".checkpoint"
"""How its name ends."""
CHECKPOINT_AFTER_S = 600.0
"""Seconds of training; a shorter one is sooner done again than kept. A default: it decides no result."""
UNSAID = b"\0\0"
"""How an archive without a comment ends: the length of the comment, two bytes."""
TRAINED = b"trained for "
"""Seconds follow."""


def drop_checkpoints(store: Store, runs: Iterable[RunSpec]) -> None:
    """Remove what was kept of runs that have ended."""
    for run in runs:
        with suppress(OSError):  # It is in nobody's way.
            store.path(run, CHECKPOINT).unlink(missing_ok=True)


def say_seconds(file: IO[bytes], seconds: float) -> None:
    """Put the comment to an archive that was just written, and has none.

    Args:
        file: open for writing.
        seconds: of training so far.
    """
    comment = TRAINED + str(round(seconds, 3)).encode()
    file.seek(-len(UNSAID), os.SEEK_END)
    file.write(len(comment).to_bytes(2, "little") + comment)


def kept_seconds(path: Path) -> float:
    """Seconds of training that need not be done again; 0 where nothing is kept, or nothing that says so.

    Whether the run can go on from there shows when it does: this is for plans.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
        seconds = float(comment.removeprefix(TRAINED)) if comment.startswith(TRAINED) else 0.0
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):  # The last: what zipfile cannot read.
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def all_kept(root: Path) -> dict[str, float]:
    """By key, what is kept of the runs of a suite's folder: seconds of training."""
    return {path.stem: kept_seconds(path) for path in root.glob(f"*/*/*{CHECKPOINT}")}


def are_further(now: Mapping[str, float], before: Mapping[str, float]) -> bool:
    """Whether anything more is kept of a run than before.

    >>> are_further({"a": 60.0}, {"a": 60.0}), are_further({"a": 60.0, "b": 5.0}, {"a": 60.0})
    (False, True)
    """
    return any(seconds > before.get(key, 0.0) for key, seconds in now.items())
