"""The same tables for machines: every digit, every seed, no rounding."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fusionbench.core.scores import good
from fusionbench.plan.names import track_label
from fusionbench.report import costs
from fusionbench.report.counted import counted
from fusionbench.report.notes import BAD, note, own_width
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.tested import heading, validated
from fusionbench.stats.estimate import Estimate

SIZES = (
    "training_parameters",
    "fusion_parameters",
    "encoder_parameters",
    "trained_parameters",
    "flops_per_sample",
    "fusion_flops_per_sample",
)
PARTS = ("mean", "half_width", "seed_error", "test_error")
"""Of an estimate; the last where some row has it."""
FIXED = ("head_width", "target_parameters", "learning_rate")
TIMES = (("fusion", 1), ("end_to_end", 1), ("end_to_end", 64))


def table_csv(*tables: Table) -> str:
    """A line for each strategy: what table.md shows, of ten digits each, and every score's mean and half-width."""
    return text_of(row for table in tables for row in strategy_rows(table))


def strategy_rows(table: Table) -> list[dict[str, Any]]:
    """By column, what `table_csv` says of each strategy."""
    estimates: dict[str, list[Estimate]] = {}
    for row in table.rows:
        for name, estimate in row.scores.items():
            estimates.setdefault(name, []).append(estimate)
    parts = {
        name: PARTS[: 4 if any(e.test_error is not None for e in estimates[name]) else 3] for name in sorted(estimates)
    }
    return [_row(table, row, parts) for row in table.rows]


def seeds_csv(table: Table) -> str:
    """A line for each planned run: its status and every score."""
    return text_of(seed_rows(table), whole=True)


def seed_rows(table: Table) -> list[dict[str, Any]]:
    """By column, what `seeds_csv` says of each planned run."""
    names = sorted({name for row in table.rows for name in row.scores})
    return [
        {
            "dataset": table.name,
            "track": track_label(table.track),
            "strategy": row.strategy,
            "seed": outcome.run.seed,
            "key": outcome.run.key,
            "status": outcome.state,
            "reason": outcome.reason,
            **{name: outcome.scores.get(name) for name in names},
            "epochs_run": outcome.record.epochs_run if outcome.record else None,
            "train_seconds": outcome.record.train_seconds if outcome.record else None,
            **(counted(outcome.record) if outcome.record else {}),
            "results_version": outcome.record.results_version if outcome.record else None,
        }
        for row in table.rows
        for outcome in row.outcomes
    ]


def admission_csv(table: Table) -> str:
    """What the page of a table begins with: a line for each chosen row and for each gain; empty where there is none."""
    found = table.admission
    if found is None:
        return ""
    chosen = [(one.role or "baseline", one.strategy, "", one.estimate, None) for one in found.chosen]
    gains = [(f"gain of {one.of}", one.strategy, one.over, one.estimate, one.is_shown) for one in found.gains]
    return text_of(
        {
            "dataset": table.name,
            "track": track_label(table.track),
            "metric": table.metric,
            "what": what,
            "strategy": strategy,
            "over": over,
            **vars(estimate),
            "above_0": above,
        }
        for what, strategy, over, estimate, above in (*chosen, *gains)
    )


def _row(table: Table, row: TableRow, parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    states = [outcome.state for outcome in row.outcomes]
    found: dict[str, Any] = {
        "dataset": table.name,
        "track": track_label(table.track),
        "strategy": row.strategy,
        "fidelity": row.fidelity,
        "interaction": row.interaction,
        "planned": len(states),
        "done": row.done,
        **{state: states.count(state) for state in BAD},
        "ranked_by": table.metric,
    }
    for name, shown in parts.items():
        found |= {f"{name}_{part}": getattr(row.scores.get(name), part, None) for part in shown}
    found |= _tested(table, row)
    if (ceiling := table.ceiling) is not None:
        mean = row.scores[table.metric].mean if table.metric in row.scores else None
        found |= {"ceiling": ceiling.value, "of_ceiling": None if mean is None else ceiling.part(mean)}
    found |= {name: row.size.get(name) for name in SIZES} | {name: row.fixed.get(name) for name in FIXED}
    if any("solved" in other.fixed for other in table.rows):
        found["own_width"] = own_width(row)
    for scope, batch_size in TIMES:
        timing = table.latency.timings.get((row.strategy, scope, batch_size)) if table.latency else None
        for what in ("median_ms", "p10_ms", "p90_ms", "spread"):
            found[f"{scope}_batch{batch_size}_{what}"] = getattr(timing, what) if timing else None
    found |= {name: row.costs.get(name) for name in costs.shown(table.rows)}
    latency = table.latency
    found |= {"latency_device": latency.device if latency else None, "threads": latency.threads if latency else None}
    return found | {"best": row.best, "front": row.front, "notes": note(row)}


def _tested(table: Table, row: TableRow) -> dict[str, Any]:
    """What validation says of a row, its differences to the references, its family and whether it is tied there."""
    tests, found = table.tests, dict[str, Any]()
    mean = validated(row, table.metric) if table.metric else None
    found["validation"] = None if mean is None else good(table.metric, mean)  # Its sign turned back.
    found["picked"] = tests.headline is not None and tests.headline.strategy == row.strategy
    for one in tests.references:
        name, compared = heading(one).replace(" ", "_"), one.of(row.strategy)
        found[f"{name}_reference"] = one.reference
        found[name] = compared.estimate.mean if compared else None
        found[f"{name}_half_width"] = compared.estimate.half_width if compared else None
        found[f"{name}_p"] = compared.p if compared else None
    family = tests.family_of(row.strategy)
    if tests.families:
        found |= {"family": family.name if family else "", "tied": family is not None and row.strategy in family.tied}
    return found


def text_of(rows: Iterable[Mapping[str, Any]], *, whole: bool = False) -> str:
    """A CSV with a header; columns in the order in which rows first have them.

    Args:
        rows: a mapping each.
        whole: whether floats keep every digit, as what records hold does. Of what is computed from them ten are
            written: those after them are others on another processor, and say nothing.
    """
    found = list(rows)
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in found for name in row))
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    of: Callable[[Any], Any] = (lambda value: value) if whole else _ten_digits
    writer.writerows([of(row.get(name, "")) for name in names] for row in found)
    return buffer.getvalue()


def _ten_digits(value: Any) -> Any:
    return float(f"{value:.10g}") if isinstance(value, float) else value
