"""What runs cost besides time, over the seeds of a row: memory, energy, and the model's bytes on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from fusionbench.records.record import Record
from fusionbench.report.collect import Outcome
from fusionbench.stats.measured import number

DISK, MEMORY, PROCESSOR, DEVICE = "disk_bytes", "memory_bytes", "processor_joules", "device_joules"
COUNTED = (MEMORY, PROCESSOR, DEVICE)


def counted(record: Record) -> dict[str, float]:
    """Of one run, by name; what was not counted is left out."""
    joules = {f"{name}_joules": value for name, value in record.cost.get("joules", {}).items()}
    found = {**joules, **({MEMORY: record.cost[MEMORY]} if MEMORY in record.cost else {})}
    return {name: float(found[name]) for name in COUNTED if name in found}


def mean_costs(outcomes: Iterable[Outcome], size: Mapping[str, Any]) -> dict[str, float]:
    """By name: bytes of the model on disk, and of what was counted the mean over the done seeds that have it.

    Args:
        outcomes: of a row.
        size: what the measure of that name found.
    """
    found = [counted(outcome.record) for outcome in outcomes if outcome.record and outcome.state == "done"]
    means = {name: [one[name] for one in found if name in one] for name in COUNTED}
    disk = number(size, DISK)
    return ({} if disk is None else {DISK: disk}) | {name: fmean(values) for name, values in means.items() if values}
