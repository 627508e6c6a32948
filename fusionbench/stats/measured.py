"""Numbers from files of measures, over seeds: what is not there, or is no number, is left out and ends nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fusionbench.records.facts import LARGEST
from fusionbench.stats.estimate import Estimate, Scored, estimate

_File = TypeVar("_File")
Files = Mapping[int, Mapping[str, Any]]
"""By seed, what a measure's file holds."""


def number(tree: Any, *path: str | int) -> float | None:
    """The finite number at a place in a file's JSON; None if there is none.

    >>> number({"emap": {"gap": 0.5, "rows": [1, None]}}, "emap", "rows", 0)
    1.0
    """
    for step in path:
        if isinstance(tree, Mapping):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and 0 <= step < len(tree):
            tree = tree[step]
        else:
            return None
    fits = isinstance(tree, int | float) and not isinstance(tree, bool)
    return float(tree) if fits and math.isfinite(tree) and abs(tree) <= LARGEST else None


def names(tree: Any, *path: str) -> tuple[str, ...]:
    """The names at a place, in the file's order, as far as they can be printed; none if there is no mapping."""
    for step in path:
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    found = tree if isinstance(tree, Mapping) else {}
    return tuple(name for name in found if isinstance(name, str) and name.isprintable())


def over_seeds(files: Mapping[int, _File], value: Callable[[_File], float | None]) -> Estimate | None:
    """The mean of a number over the seeds whose files have it, with a t interval over these; None: none has."""
    found = {seed: Scored(one) for seed, file in sorted(files.items()) if (one := value(file)) is not None}
    return estimate(found) if found else None


def at(files: Files, *path: str | int) -> Estimate | None:
    """The same of the number at a place."""
    return over_seeds(files, lambda file: number(file, *path))


def places(files: Files, *path: str) -> tuple[str, ...]:
    """The names at a place of all files together, in the order of the first."""
    return tuple(dict.fromkeys(name for _, file in sorted(files.items()) for name in names(file, *path)))
