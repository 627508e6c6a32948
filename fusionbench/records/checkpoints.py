"""Where the state of a long run lies while it trains: beside its record, until that is there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store

CHECKPOINT = ".checkpoint"
"""How its name ends."""
CHECKPOINT_AFTER_S = 600.0
"""Seconds of training; a shorter one is sooner done again than kept. A default: it decides no result."""


def drop_checkpoints(store: Store, runs: Iterable[RunSpec]) -> None:
    """Remove what was kept of runs that have ended."""
    for run in runs:
        with suppress(OSError):  # It is in nobody's way.
            store.path(run, CHECKPOINT).unlink(missing_ok=True)
