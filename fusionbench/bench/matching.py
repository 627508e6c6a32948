"""Matching: how wide a strategy's MLP heads, or it itself, have to be for its fusion to have a number of parameters.

Counts come from models built without memory (torch's "meta" device), so they are the real ones, whatever a docstring
says. A count grows with the width, nearly always along a straight line: where it is one, two counts give the answer and
a third checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.blocks import mlp_head
from fusionbench.measure.size import fusion_parameters

TOLERANCE = 0.05
"""As a fraction of the target."""
WIDEST = 2**20
"""Units of a head, or of a width of its own: no machine trains more."""
Count = Callable[[int], int]
"""Fusion parameters of a width; never falls where the width grows."""


@dataclass(frozen=True)
class Match:
    """What was found for a target."""

    target: int
    width: int
    """Of the heads, or the value of the option."""
    parameters: int
    """Of the fusion with that width."""
    reachable: tuple[int, int]
    """Parameters at the smallest width, and at the widest."""
    option: str = ""
    """The strategy's own option that was solved for; empty: the width of its heads."""

    @property
    def problem(self) -> str:
        """Why it is no match, in words; empty if it is one."""
        if abs(self.parameters - self.target) <= TOLERANCE * self.target:
            return ""
        low, high = self.reachable
        what = f"{self.target:,} fusion parameters are out of reach"
        unit, widths = (f"a step of {self.option}", self.option) if self.option else ("a unit of the head", "")
        if low <= self.target <= high:
            return f"{what}: the nearest number is {self.parameters:,}, {unit} is worth more than 5 %"
        gives = f"its width {widths} gives" if widths else "the width of the head gives"
        return f"{what}: {gives} {low:,} to {high:,} here"

    def applied(self, setting: Setting) -> Setting:
        """The setting with what was solved for."""
        if self.option:
            return replace(setting, solved={self.option: self.width})
        return replace(setting, head_width=self.width)


def default_target(setting: Setting) -> int:
    """The parameters of `concat` with a head as wide as the encodings: all that it has is that head."""
    with torch.device("meta"):
        head = mlp_head([setting.width] * len(setting.task.names), replace(setting, head_width=setting.width))
    return sum(parameter.numel() for parameter in head.parameters())


def by_head(make: Callable[[Setting], FusionModule], setting: Setting) -> Count:
    """The number of fusion parameters by the width of the heads; each width is counted once.

    Args:
        make: builds the model for a setting.
        setting: all of it but the head width.
    """
    return _counted(lambda width: make(replace(setting, head_width=width)))


def by_option(make: Callable[[Setting], FusionModule], setting: Setting, option: str, unit: int) -> Count:
    """The number of fusion parameters by an option of the strategy, in units of `unit`; heads stay as they are.

    Args:
        make: builds the model for a setting.
        setting: all of it, but for what is solved for.
        option: the strategy's.
        unit: of which its values are multiples.
    """
    return _counted(lambda width: make(replace(setting, solved={option: width * unit})))


def matched(count: Count, target: int) -> Match:
    """The head width whose number of fusion parameters is nearest to a target."""
    reachable = count(1), count(WIDEST)
    width, parameters = nearest(count, target, reachable)
    return Match(target, width, parameters, reachable)


def matched_own(count: Count, target: int, option: str, unit: int) -> Match:
    """The value of a strategy's own option whose number of fusion parameters is nearest to a target.

    Args:
        count: see `by_option`.
        target: parameters of the fusion.
        option: the strategy's.
        unit: of which its values are multiples.
    """
    widest = _widest(count)
    reachable = count(1), count(widest)
    width, parameters = nearest(count, target, reachable, widest)
    return Match(target, width * unit, parameters, reachable, option)


def nearest(count: Count, target: int, ends: tuple[int, int], widest: int | None = None) -> tuple[int, int]:
    """The width from 1 to `widest` with the count nearest to a target, and that count.

    Args:
        count: of a width; never falls where the width grows.
        target: the count to come near to.
        ends: the counts of the widths 1 and `widest`.
        widest: WIDEST where it is left out.
    """
    below, above = (1, ends[0]), (widest or WIDEST, ends[1])
    if target <= below[1] or above[1] <= target:
        return below if target <= below[1] else above
    halve = False
    while above[0] - below[0] > 1:
        guess = below[0] + (target - below[1]) * (above[0] - below[0]) // (above[1] - below[1])
        # By halves in every second step: along a curve, lines from one end come nearer but never past the target.
        width = (below[0] + above[0]) // 2 if halve else min(max(guess, below[0] + 1), above[0] - 1)
        halve = not halve
        found = (width, count(width))
        below, above = (found, above) if found[1] <= target else (below, found)
        if found[1] == target:
            break
    return min(below, above, key=lambda end: abs(end[1] - target))


def _counted(make: Callable[[int], FusionModule]) -> Count:
    @cache
    def count(width: int) -> int:
        with torch.device("meta"):
            return fusion_parameters(make(width))

    return count


def _widest(count: Count) -> int:
    """The largest width that can be built, up to WIDEST: an outer product refuses to have too many entries."""
    if _can_be(count, WIDEST):
        return WIDEST
    low, high = 1, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _can_be(count, middle) else (low, middle)
    return low


def _can_be(count: Count, width: int) -> bool:
    try:
        count(width)
    except UserError:
        return False
    return True
