"""`fusionbench targets`: how wide each strategy's heads are at numbers of parameters, and which number to choose."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from fusionbench.cli.listing import aligned
from fusionbench.plan.tracks import solves_own

if TYPE_CHECKING:
    from fusionbench.bench.matching import Match
    from fusionbench.bench.targets import Reach, Rung, Unusable
    from fusionbench.plan.suite import RunSpec, Suite

RUNGS = 8
"""The last of a ladder: those that leave out the fewest."""
SHOWN = 2
"""Rungs whose heads are shown where no target is named."""


def targets_page(options: argparse.Namespace, suite: Suite, runs: Sequence[RunSpec]) -> str:
    """A table for each dataset, and the targets to choose from.

    Raises:
        UserError: a target below 1.
    """
    from fusionbench.bench.targets import ladder, reaches
    from fusionbench.core.errors import UserError

    if any(target < 1 for target in options.target):
        raise UserError(f"--target {min(options.target)}: a target is a number of parameters, 1 or more")
    rows, unusable = reaches(runs, Path(options.data) if options.data else None)
    rungs = ladder(rows)
    asked = sorted({*options.target, *_of_tracks(suite, rows)}) or [rung.target for rung in rungs[-SHOWN:]]
    parts = [_table(dataset, list(found), asked) for dataset, found in groupby(rows, lambda row: row.dataset)]
    own = [track.options["target"] for track in suite.tracks if solves_own(track)]
    for dataset, found in groupby(rows if own else [], lambda row: row.dataset):
        parts.append(_own_table(dataset, list(found), own))
    return "\n\n".join([*parts, *_reasons(unusable), *_choices(rungs[-RUNGS:], rows)])


def _of_tracks(suite: Suite, rows: Sequence[Reach]) -> Iterator[int]:
    """The targets that the suite's own tracks name; of those that name none, what `concat` has."""
    for track in suite.tracks:
        if "target" in track.options:
            yield from [track.options["target"]] if track.options["target"] else (row.default for row in rows)


def _table(dataset: str, rows: Sequence[Reach], targets: Sequence[int]) -> str:
    head = ["strategy", "1 unit", f"{rows[0].width} units", *(f"at {target:,}" for target in targets)]
    cells = [
        (row.strategy, f"{row.smallest:,}", f"{row.at_width:,}", *(_units(row, target) for target in targets))
        for row in rows
    ]
    title = (
        f"{dataset}: fusion parameters with heads of 1 unit and as wide as the encodings; units of heads at a target"
    )
    return f"{title}\n\n{aligned(head, cells)}"


def _own_table(dataset: str, rows: Sequence[Reach], given: Sequence[int | None]) -> str:
    targets = sorted(target or rows[0].default for target in given)
    cells = [(row.strategy, *(_value(row.own(target)) for target in targets)) for row in rows if row.own is not None]
    head = ["strategy", *(f"at {target:,}" for target in targets)]
    return (
        f"{dataset}: widths of a strategy's own at a target, heads as wide as the encodings\n\n{aligned(head, cells)}"
    )


def _value(found: Match) -> str:
    return "out of reach" if found.problem else f"{found.option} = {found.width:,}"


def _units(row: Reach, target: int) -> str:
    found = row.head_at(target)
    if found is None:
        return "out of reach"
    return f"{found:,}" if found >= row.width else f"{found:,} (narrow)"


def _reasons(rows: Sequence[Unusable]) -> list[str]:
    """Why rows are none at any target, each reason once."""
    reasons = list(dict.fromkeys(row.reason for row in rows))
    lines = [f"  {', '.join(_names([r for r in rows if r.reason == reason], rows))}: {reason}" for reason in reasons]
    return ["\n".join(["No row at any target:", *lines])] if lines else []


def _choices(rungs: Sequence[Rung], rows: Sequence[Reach]) -> list[str]:
    """The ladder, one rung a line."""
    lines = [
        f"  {rung.target:>12,}  {len(rung.left_out):>3}  {', '.join(_names(rung.left_out, rows)) or 'none'}"
        for rung in rungs
    ]
    text = "Smallest targets that leave out so few rows, which are out of reach or have heads narrower than encodings:"
    return ["\n".join([text, *lines])] if lines else []


def _names(some: Sequence[Reach | Unusable], rows: Sequence[Reach | Unusable]) -> Iterator[str]:
    """Each strategy once; its datasets too, where it is not on all of its datasets that it is meant."""
    for strategy in dict.fromkeys(row.strategy for row in some):
        here, everywhere = ([row.dataset for row in found if row.strategy == strategy] for found in (some, rows))
        yield strategy if here == everywhere else f"{strategy} on {', '.join(here)}"
