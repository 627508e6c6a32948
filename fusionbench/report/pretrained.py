"""What a caption says of encoders that were trained beforehand: on what, how long, and how well they did there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from fusionbench.core.errors import UserError
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.load import has_own_labels
from fusionbench.plan.suite import Choice
from fusionbench.report.collect import Outcome
from fusionbench.report.tables import Table
from fusionbench.report.titles import title


def pretrained(table: Table) -> Iterator[str]:
    """A sentence for each kind of pretraining in a table, and one where the fusion has half of the training rows.

    An encoder that does far better on the rows it was trained on than on validation has learned them by heart, and what
    it says of them is more than it knows.
    """
    outcomes = [outcome for row in table.rows for outcome in row.outcomes]
    budgets = {
        name: choice.pretrain
        for outcome in outcomes
        for name, choice in outcome.run.encoders.items()
        if choice.pretrain
    }
    kinds: dict[str, list[str]] = {}
    for name, budget in budgets.items():
        scores = _scores(name, outcomes)
        words = f"{name} ({'; '.join(filter(None, (_epochs(budget), scores)))})"
        kinds.setdefault(_trained_on(table.dataset, name, budget), []).append(words)
    for kind, encoders in kinds.items():
        yield f"Encoders trained beforehand on {kind} and frozen: {', '.join(encoders)}."
    if any(budget.rows == "half" for budget in budgets.values()):
        yield "Every row of the table is trained on the other half of the training rows; a seed draws the halves."


def _epochs(budget: Pretraining) -> str:
    return f"{budget.epochs} epoch{'s' * (budget.epochs != 1)}"


def _trained_on(dataset: Choice, modality: str, budget: Pretraining) -> str:
    try:
        own = has_own_labels(dataset, modality)
    except UserError:  # The module of a user's own dataset is gone: by default it has half of the rows for the task's.
        own = budget.rows == "all"
    labels = "their modality's own labels" if own else "the task's labels"
    if budget.rows == "half":
        return f"{labels}, on one half of the training rows,"
    return labels if own else f"{labels}, on all training rows,"


def _scores(modality: str, outcomes: list[Outcome]) -> str:
    """`accuracy 0.912 on the 22,500 rows it was trained on, 0.851 on validation`: means over seeds."""
    by_seed: dict[int, Mapping[str, Any]] = {}
    for outcome in outcomes:
        found = outcome.record.options.get("pretrained", {}) if outcome.record else {}
        if modality in found:  # Of a seed it is the same for all strategies.
            by_seed.setdefault(outcome.run.seed, found[modality])
    if not by_seed:  # No run is done, or its record is older than this fact.
        return ""
    every = list(by_seed.values())
    metric, counts = every[0]["metric"], sorted({one["count"] for one in every})
    train, validation = (fmean(one["scores"][f"{part}/{metric}"] for one in every) for part in ("train", "validation"))
    rows = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    over = f", mean over {len(every)} seeds" if len(every) > 1 else ""
    return f"{title(metric)} {train:.3f} on the {rows} rows it was trained on, {validation:.3f} on validation{over}"
