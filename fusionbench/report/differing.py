"""What differs between two suites' runs of one strategy, in phrases: `budget.epochs 4, there 16`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.plan.tracks import LATER


def differing(ours: RunSpec, theirs: RunSpec, own_seeds: Sequence[int], other_seeds: Sequence[int]) -> tuple[str, ...]:
    """A phrase for every field that is not the same; the strategy and the seeds' order are not asked."""
    own, other = _flat(ours), _flat(theirs)
    found = list(_phrases(own, other))
    if len(own_seeds) != len(other_seeds):
        found.append(f"seeds {len(own_seeds)}, there {len(other_seeds)}")
    return tuple(found)


def _phrases(own: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    changed: list[str] = []
    for name in dict.fromkeys((*own, *other)):
        a, b = own.get(name), other.get(name)
        # Where another plug-in stands, its options say nothing of the one here.
        if a != b and not any(name.startswith(f"{parent}.") for parent in changed):
            changed.append(name)
            yield f"{name} {_shown(a)}, there {_shown(b)}"


def _flat(run: RunSpec) -> dict[str, Any]:
    """Field by field, a plug-in's name before its options."""
    found: dict[str, Any] = dict(_choice("dataset", run.dataset))
    found |= _choice("track", replace(run.track, options={**LATER, **run.track.options}))
    for name, choice in run.encoders.items():
        found |= _choice(f"encoders.{name}", choice)
    return found | _budget("budget", run.budget)


def _choice(name: str, choice: Choice) -> dict[str, Any]:
    found: dict[str, Any] = {name: choice.name}
    found |= {f"{name}.{option}": value for option, value in choice.options.items()}
    found[f"{name}.pretrain"] = "yes" if choice.pretrain else "no"
    return found | (_budget(f"{name}.pretrain", choice.pretrain) if choice.pretrain else {})


def _budget(name: str, budget: Budget) -> dict[str, Any]:
    return {f"{name}.{field}": value for field, value in vars(budget).items()}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
