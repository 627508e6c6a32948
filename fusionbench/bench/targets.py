"""Targets: which numbers of fusion parameters the strategies of a suite can have, with heads that are wide enough.

A head narrower than the encodings may be what limits a row, not its mechanism; a strategy that is larger than the
target with any head has no row at all. Both end where the target is large, but for strategies without a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fusionbench.bench.build import Unsuitable, build, dataset_of, fixed_for, has_no_head, own_width
from fusionbench.bench.matching import (
    TOLERANCE,
    WIDEST,
    Count,
    Match,
    by_head,
    by_option,
    default_target,
    matched,
    matched_own,
)
from fusionbench.fusion.base import Setting
from fusionbench.plan.names import slug
from fusionbench.plan.suite import SAME_ENCODERS, Choice, RunSpec
from fusionbench.plan.tracks import head_times


@dataclass(frozen=True)
class Reach:
    """What the fusion of one row may have."""

    dataset: str
    strategy: str
    width: int
    """Of the encodings, in units."""
    times: int
    """How many times as wide its heads are as the width that is solved for; nearly always once."""
    smallest: int
    """Parameters with heads of one unit, or `times` one."""
    at_width: int
    """Parameters with heads as wide as the encodings."""
    largest: int
    """Parameters with heads of WIDEST units."""
    default: int
    """What `concat` has here at the default width."""
    count: Count
    """Parameters by the width that is solved for."""
    own: Callable[[int], Match] | None = None
    """What is found for a target by a width of the strategy's own (`solve: own`); None: it has none."""

    def fits(self, target: int) -> bool:
        """Whether it has heads at least as wide as the encodings there."""
        return self.at_width <= target <= (1 + TOLERANCE) * self.largest

    def head_at(self, target: int) -> int | None:
        """How wide its heads are there, in units; None: out of reach."""
        found = matched(self.count, target)
        return None if found.problem else self.times * found.width


@dataclass(frozen=True)
class Unusable:
    """A row that no target helps."""

    dataset: str
    strategy: str
    reason: str


@dataclass(frozen=True)
class Rung:
    """A target and the rows that it leaves out: they are out of reach, or have heads narrower than the encodings."""

    target: int
    left_out: tuple[Reach, ...]


def reaches(runs: Iterable[RunSpec], root: Path | None = None) -> tuple[list[Reach], list[Unusable]]:
    """What each row may have, from models built without memory; what has no head, such as `chance`, is left out.

    Args:
        runs: the first of each row counts.
        root: the data folder; nothing in it is read by shipped datasets.
    """
    found: dict[tuple[str, str], Reach | Unusable] = {}
    for run in runs:
        names = slug("dataset", run.dataset), slug("strategy", run.strategy)
        if names not in found and not has_no_head(run):
            found[names] = _reach(replace(run, track=Choice(SAME_ENCODERS)), names, root)
    rows = list(found.values())
    return [row for row in rows if isinstance(row, Reach)], [row for row in rows if isinstance(row, Unusable)]


def ladder(rows: Sequence[Reach]) -> list[Rung]:
    """Targets in rising order, each the smallest (rounded up to three digits) that leaves out so few rows.

    The last leaves out the fewest that any target does.
    """
    rungs: list[Rung] = []
    for target in sorted({rounded_up(row.at_width) for row in rows}):
        left_out = tuple(row for row in rows if not row.fits(target))
        if not rungs or len(left_out) < len(rungs[-1].left_out):
            rungs.append(Rung(target, left_out))
    return rungs


def rounded_up(count: int) -> int:
    """The next number of three digits and zeros: 1704086 is 1710000."""
    unit = 10 ** max(0, len(str(count)) - 3)
    return -(-count // unit) * unit


def _reach(run: RunSpec, names: tuple[str, str], root: Path | None) -> Reach | Unusable:
    try:
        setting = fixed_for(run, dataset_of(run, root).asked).setting
    except Unsuitable as problem:
        return Unusable(*names, str(problem))
    count, times = by_head(lambda other: build(run, other), setting), head_times(run.strategy)
    counts = count(1), count(-(-setting.width // times)), count(WIDEST)
    return Reach(*names, setting.width, times, *counts, default_target(setting), count, _own(run, setting))


def _own(run: RunSpec, setting: Setting) -> Callable[[int], Match] | None:
    own = own_width(run.strategy)
    if own is None:
        return None
    count = by_option(lambda other: build(run, other), setting, *own)
    return lambda target: matched_own(count, target, *own)
