"""A row of a table: one strategy over all planned seeds, from its records.

A run that diverged, failed, was skipped or is missing stays in its row, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fusionbench.core.collecting import paused_collector
from fusionbench.plan.suite import Choice, Row, Suite
from fusionbench.records.store import Store
from fusionbench.report.collect import Outcome, estimates, facts_of, measured, name_of, outcomes, size_of
from fusionbench.report.counted import mean_costs
from fusionbench.report.titles import strategy_title
from fusionbench.stats.estimate import Estimate

FIDELITY, INTERACTION, USES = "faithful", "full", "all"
"""What a strategy's class inherits where its source does not say (a test compares them with the base class)."""


@dataclass(frozen=True)
class TableRow:
    """One strategy over all planned seeds."""

    strategy: str
    """Its slug."""
    title: str
    """As papers write it; no other row of the table has the same."""
    fidelity: str
    """Empty for baselines without a paper, and where the source is gone."""
    interaction: str
    uses: str
    outcomes: tuple[Outcome, ...]
    """One for each planned seed."""
    scores: Mapping[str, Estimate]
    """Over the done seeds, by the records' names."""
    size: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What the runner fixed for the model, the same at every seed: head_width, the learning rate that was chosen."""
    best: bool = False
    """Bold: the best mean, of its family where it is in one."""
    mark: str = ""
    """The sign of its family where it is tested and not told apart from the best of it; empty where it is bold."""
    front: bool = False
    """On the Pareto front over the ranking score and the table's cost."""
    measured: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(default_factory=dict)
    """By measure of a trained model and seed, what its file holds; those that some seed has."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Bytes on disk, memory and energy: those that some seed has; see `counted.mean_costs`."""

    @cached_property
    def done(self) -> int:
        """How many seeds have scores."""
        return sum(outcome.state == "done" for outcome in self.outcomes)

    @cached_property
    def comparable(self) -> bool:
        """Done without a run that diverged, failed or was skipped: the mean of survivors is not the strategy's."""
        return self.done > 0 and all(outcome.state in ("done", "missing") for outcome in self.outcomes)


def rows_of(suite: Suite, dataset: Choice, track: Choice, store: Store) -> list[TableRow]:
    """Those that a suite plans of a data set under a track, in the suite's order."""
    with paused_collector():
        return [_row(suite, row, store) for row in suite.rows if (row.dataset, row.track) == (dataset, track)]


def _row(suite: Suite, row: Row, store: Store) -> TableRow:
    facts, found = facts_of(row.strategy), outcomes(suite, row, store)
    size = size_of(found, store)
    return TableRow(
        strategy=name_of("strategy", row.strategy),
        title=strategy_title(row.strategy),
        fidelity=str(facts.get("fidelity", FIDELITY if facts.get("paper") else "")),
        interaction=str(facts.get("interaction", INTERACTION if facts else "")),
        uses=str(facts.get("uses", USES)),
        outcomes=found,
        scores=estimates(found),
        size=size,
        measured=measured(found, store),
        costs=mean_costs(found, size),
        fixed=next((outcome.record.options for outcome in found if outcome.record and outcome.state == "done"), {}),
    )
