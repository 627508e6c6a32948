"""The same for machines: default and tuned, every trial of every search, and what n points may expect to find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fusionbench.report.csvs import text_of
from fusionbench.report.tuned_rows import TunedRow, Tuning

WAYS = ("mean", "half_width", "n", "seed_error", "test_error")
CHOSEN = ("learning_rate", "weight_decay", "dropout")


def tuned_csv(found: Tuning) -> str:
    """A line for each strategy: what the page shows, of ten digits each."""
    return text_of(_row(found, row) for row in found.rows)


def trials_csv(found: Tuning) -> str:
    """A line for each trial: its point, what became of it, its validation scores, and whether its point won."""
    return text_of(
        {
            "dataset": found.name,
            "strategy": row.strategy,
            "point": number,
            **{name: getattr(one.point, name) for name in CHOSEN},
            "own": json.dumps(dict(one.point.own), sort_keys=True) if one.point.own else "",
            "seed": trial.seed,
            "key": trial.key,
            "status": record.status if record else "missing",
            "reason": record.reason if record else "",
            **(record.validation if record else {}),
            "epochs_run": record.epochs_run if record else None,
            "train_seconds": record.train_seconds if record else None,
            "results_version": record.results_version if record else None,
            "won": number == _winner(row),
        }
        for row in found.rows
        for number, one in enumerate(row.tried)
        for trial, record in one.trials
    )


def search_csv(found: Tuning) -> str:
    """A line for each strategy and number of points: the best of so many, as best_of.py defines it."""
    each = len(found.track.options["trial_seeds"])
    return text_of(
        {
            "dataset": found.name,
            "strategy": row.strategy,
            "metric": found.metric.replace("test/", "validation/", 1),
            "points": one.n,
            "trials": one.n * each,
            "expected": one.expected,
            "spread": one.spread,
            "low": one.low,
            "high": one.high,
            "unbiased": one.unbiased,
        }
        for row in found.rows
        for one in row.search
    )


def _row(found: Tuning, row: TunedRow) -> dict[str, Any]:
    estimates = {"tuned": row.mean(row.tuned), "default": row.mean(row.default), "gain": row.gain}
    facts: dict[str, Any] = {"dataset": found.name, "strategy": row.strategy, "metric": found.metric}
    for way, estimate in estimates.items():
        facts |= {f"{way}_{name}": getattr(estimate, name, None) for name in WAYS}
    facts["tuned_seed_spread"] = row.seed_spread(row.tuned)
    facts["default_seed_spread"] = row.seed_spread(row.default)
    facts["search_spread"] = row.search[-1].spread if row.search else None
    facts["best_validation"] = row.search[-1].unbiased if row.search else None
    facts |= {name: row.chosen.get(name) for name in CHOSEN}
    own = row.chosen.get("own")
    facts["own"] = json.dumps(own, sort_keys=True) if own else ""
    facts["points"] = len(row.tried)
    records = [record for one in row.tried for _, record in one.trials]
    done = sum(record is not None and record.status == "done" for record in records)
    return facts | {"trials": len(records), "trials_done": done}


def _winner(row: TunedRow) -> int | None:
    """The number of the point that won; None before a final run is done."""
    tuning = row.chosen.get("tuning")
    return tuning.get("best") if isinstance(tuning, Mapping) else None
