"""Which done runs lack measures, and what taking these costs: nothing much, or their training once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fusionbench.plan.measures import needs, of_runs
from fusionbench.plan.suite import Choice, RunSpec, Suite
from fusionbench.records.store import Store
from fusionbench.records.weights import has_weights


def lacking_measures(store: Store, measures: Sequence[Choice], runs: Iterable[RunSpec]) -> list[RunSpec]:
    """The done runs for which a measure that fits their task has not been taken."""
    return [run for run in runs if store.status(run) == "done" and any(_lacking(store, measures, run))]


def is_at_hand(store: Store, measures: Sequence[Choice], run: RunSpec) -> bool:
    """Whether what a run lacks can be taken without training it again."""
    return has_weights(store, run) or all(needs(one) == "model" for one in _lacking(store, measures, run))


def measured_without_training(
    store: Store, suite: Suite, runs: Iterable[RunSpec], tell: Callable[[str], None]
) -> list[RunSpec]:
    """Those that lack measures and need not be trained again for them; of the others it is told how many there are."""
    lacking = lacking_measures(store, suite.measures, runs)
    ready = [run for run in lacking if is_at_hand(store, suite.measures, run)]
    if later := len(lacking) - len(ready):
        tell(
            f"{later} done runs lack measures of trained models and have no weights: "
            f"`fusionbench measure {suite.name}` trains them again and takes these"
        )
    return ready


def _lacking(store: Store, measures: Sequence[Choice], run: RunSpec) -> list[Choice]:
    return [one for one in of_runs(measures, run.dataset) if not store.has_measure(run, one)]
