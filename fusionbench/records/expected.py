"""How long a run will take, from those that are done: of its row, else of its dataset, else any."""

from __future__ import annotations

from collections import defaultdict

from fusionbench.plan.names import track_label
from fusionbench.plan.suite import RunSpec


class Expected:
    """Means of seconds; what was only reckoned counts where nothing was seen."""

    def __init__(self) -> None:
        self._seen: defaultdict[object, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._guessed: defaultdict[object, list[float]] = defaultdict(lambda: [0.0, 0.0])
        """By group of runs: seconds, and of how many."""
        self._groups: dict[object, tuple[object, ...]] = {}

    def learn(self, run: RunSpec, seconds: float) -> None:
        """A run that is done took so long."""
        _add(self._seen, self._of(run), seconds)

    def guess(self, run: RunSpec, seconds: float) -> None:
        """A run that goes on will have taken about so long."""
        _add(self._guessed, self._of(run), seconds)

    def of(self, run: RunSpec) -> float | None:
        """Seconds; None: nothing tells."""
        for group in self._of(run):
            for known in (self._seen, self._guessed):
                if group in known:
                    seconds, count = known[group]
                    return seconds / count
        return None

    def _of(self, run: RunSpec) -> tuple[object, ...]:
        """The groups that a run is in, the narrowest first; runs of a row share their choices."""
        parts = (id(run.dataset), id(run.strategy), id(run.track), run.role)
        if parts not in self._groups:
            row = (run.dataset.name, str(run.dataset.options), run.strategy.name, str(run.strategy.options))
            self._groups[parts] = ((*row, track_label(run.track), run.role), row, row[:2], ())
        return self._groups[parts]


def _add(known: defaultdict[object, list[float]], groups: tuple[object, ...], seconds: float) -> None:
    for group in groups:
        known[group][0] += seconds
        known[group][1] += 1
