"""What an engine is: where the runs of a suite are trained. Results folder and claims are all that it remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fusionbench.engines.deadline import Deadline
from fusionbench.plan.suite import RunSpec


class Engine(Protocol):
    """One suite, one results folder. `Runner` is the one of this machine; the others are to find what it finds.

    Records are the same byte for byte, but for times and machine; what is done is skipped, a run that another runner
    has claimed is left to it, and whatever ends an engine leaves no half-written record.
    """

    def run(self, runs: Sequence[RunSpec], again: frozenset[str], deadline: Deadline | None) -> Counter[str]:
        """Train what is not done, take missing measures; how many of the runs have which status now.

        Args:
            runs: those of the suite's that are wanted; trials that choose something for them come first.
            again: records of these statuses ("failed", "diverged", "skipped") do not count as done.
            deadline: no seed begins that would not be done by then.

        Raises:
            UserError: the data are missing or wrong, or the engine is not there; before or after runs were recorded.
            KeyboardInterrupt: stopped; what is done is recorded, the same call goes on.
        """

    def latency(
        self, runs: Sequence[RunSpec], options: dict[str, object], *, anew: bool, deadline: Deadline | None
    ) -> list[Path]:
        """A latency session per table, on a machine of the engine's; unless `anew`, only where it is missing."""
