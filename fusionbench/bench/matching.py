"""Matching: how wide a strategy's MLP heads have to be for its fusion to have a given number of parameters.

Counts come from models built without memory (torch's "meta" device), so they are the real ones, whatever a docstring
says. A count grows with the width, nearly always along a straight line: where it is one, two counts give the answer and
a third checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from fusionbench.fusion._blocks import mlp_head
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.measure.size import fusion_parameters

TOLERANCE = 0.05
"""As a fraction of the target."""
WIDEST = 2**20
"""Units of a head: no machine trains more."""


@dataclass(frozen=True)
class Match:
    """What was found for a target."""

    target: int
    head_width: int
    parameters: int
    """Of the fusion, with heads of that width."""
    reachable: tuple[int, int]
    """Parameters with heads of 1 unit, and of WIDEST."""

    @property
    def problem(self) -> str:
        """Why it is no match, in words; empty if it is one."""
        if abs(self.parameters - self.target) <= TOLERANCE * self.target:
            return ""
        low, high = self.reachable
        what = f"{self.target:,} fusion parameters are out of reach"
        if low <= self.target <= high:
            return f"{what}: the nearest number is {self.parameters:,}, a unit of the head is worth more than 5 %"
        return f"{what}: the width of the head gives {low:,} to {high:,} here"


def default_target(setting: Setting) -> int:
    """The parameters of `concat` with a head as wide as the encodings: all that it has is that head."""
    with torch.device("meta"):
        head = mlp_head([setting.width] * len(setting.task.names), replace(setting, head_width=setting.width))
    return sum(parameter.numel() for parameter in head.parameters())


def by_head(make: Callable[[Setting], FusionModule], setting: Setting) -> Callable[[int], int]:
    """The number of fusion parameters by the width of the heads; each width is counted once.

    Args:
        make: builds the model for a setting.
        setting: all of it but the head width.
    """

    @cache
    def count(width: int) -> int:
        with torch.device("meta"):
            return fusion_parameters(make(replace(setting, head_width=width)))

    return count


def matched(count: Callable[[int], int], target: int) -> Match:
    """The width whose number of fusion parameters is nearest to a target.

    Args:
        count: fusion parameters of a width; never falls where the width grows.
        target: parameters of the fusion.
    """
    reachable = count(1), count(WIDEST)
    width, parameters = nearest(count, target, reachable)
    return Match(target, width, parameters, reachable)


def nearest(count: Callable[[int], int], target: int, ends: tuple[int, int]) -> tuple[int, int]:
    """The width from 1 to WIDEST with the count nearest to a target, and that count.

    Args:
        count: of a width; never falls where the width grows.
        target: the count to come near to.
        ends: the counts of the widths 1 and WIDEST.
    """
    below, above = (1, ends[0]), (WIDEST, ends[1])
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
