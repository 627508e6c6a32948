"""The track `tuned`: the space that hyperparameters are searched in, and the points of it that are tried.

    learning rate, weight decay    log-uniform     the same points for every strategy of a suite
    dropout                        uniform
    at most two options more       as the strategy's class says, `tunable = {"rank": (1, 16, "log")}`

Points are the first of a scrambled Sobol sequence, which fills the space more evenly than random draws do; each is
tried at every trial seed. The first sixteen of thirty-two are the sixteen: a suite that asks for more keeps its trials.

Source: the sequence and its scrambling are those of scipy.stats.qmc, whose documentation names Sobol' 1967 and Matousek
1998.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field as plain_field
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from fusionbench.core.catalogue import Plugin, describe
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import TUNED, Choice, RunSpec
from fusionbench.plan.suite_file import LARGEST_SEED, STRICT, TRIAL_SEED

PAPERS = ("sobol1967distribution", "matousek1998discrepancy", "dodge2019show", "tang2020showing")
"""Of the points, and of what the report makes of their scores: keys in references.bib."""
MOST_OWN = 2
"""Options of a strategy's own: with more, as many points fill its space less than that of others."""
SHARED = 3
SCRAMBLING = 0
"""Seeds the scrambling of the Sobol sequence: another number would be other trials."""
AROUND = 10.0
"""The learning rate's range, in units of the budget's: a tenth to ten times."""
FALLBACK: Mapping[str, tuple[float, float]] = {"weight_decay": (1e-4, 1.0), "dropout": (0.0, 0.5)}

Range = list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
Seeds = list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]]


@dataclass(config=STRICT, kw_only=True)
class Tuned:
    """The same search for every strategy: learning rate, weight decay, dropout and at most two options of its own."""

    trials: int = Field(default=16, ge=2, le=1024)
    """Points that are tried, each at every trial seed: a power of two, where a Sobol sequence is even."""
    learning_rate: Range = Field(default_factory=list)
    """Lowest and highest, log-uniform; left out: a tenth to ten times the budget's."""
    weight_decay: Range = Field(default_factory=lambda: list(FALLBACK["weight_decay"]))
    """Lowest and highest, log-uniform; twice the same number: fixed."""
    dropout: Range = Field(default_factory=lambda: list(FALLBACK["dropout"]))
    """Lowest and highest, uniform; twice the same number: fixed."""
    trial_seeds: Seeds = Field(default_factory=lambda: [TRIAL_SEED, TRIAL_SEED + 1], min_length=1)
    """Of the trials; none of the suite's."""


@plain_dataclass(frozen=True)
class Point:
    """One setting of all that is tuned."""

    learning_rate: float
    weight_decay: float
    dropout: float
    own: Mapping[str, Any] = plain_field(default_factory=dict)
    """Options of the strategy's own."""

    def laid_over(self, budget: Budget) -> Budget:
        """The budget with what this point says."""
        return replace(budget, learning_rate=self.learning_rate, weight_decay=self.weight_decay, dropout=self.dropout)


def takes_steps(strategy: Choice) -> bool:
    """Whether an optimiser trains it: what looks at nothing, or is solved for at once, learns nothing at any rate."""
    facts = describe("strategy", strategy.name).facts
    return facts.get("uses") != "none" and not facts.get("fitted")


def points(run: RunSpec) -> tuple[Point, ...]:
    """The points that a final run of this track is to be tried at."""
    options = run.track.options
    spread = [{"log": True}, {"log": True}, {}]
    ranges = [options[name] for name in ("learning_rate", "weight_decay", "dropout")]
    shared = [{"from": low, "to": high, **how} for (low, high), how in zip(ranges, spread, strict=True)]
    names = sorted(run.space)
    found = []
    for place in _unit_points(options["trials"]):
        rate, decay, dropout = (_drawn(part, u) for part, u in zip(shared, place, strict=False))
        own = {name: _drawn(run.space[name], u) for name, u in zip(names, place[SHARED:], strict=False)}
        found.append(Point(rate, decay, dropout, own))
    return tuple(found)


def point_of(trial: RunSpec) -> Point:
    """The point that a trial of this track is at."""
    budget = trial.budget
    return Point(budget.learning_rate, budget.weight_decay, budget.dropout, trial.track.options.get("own", {}))


def run_at(run: RunSpec, point: Point) -> RunSpec:
    """A final run at one point, with nothing left to choose: another spec, of another key."""
    track = Choice(TUNED, {"own": dict(point.own)} if point.own else {})
    return replace(run, track=track, space={}, budget=point.laid_over(run.budget))


def trials_at(run: RunSpec, point: Point) -> tuple[RunSpec, ...]:
    """The trials of a final run at one point, one for each trial seed; all seeds of a row share them."""
    at = replace(run_at(run, point), role="trial")
    return tuple(replace(at, seed=seed) for seed in run.track.options["trial_seeds"])


def own_space(plugin: Plugin, given: Mapping[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """The options of a strategy that are tuned, and where, as JSON: `{"rank": {"from": 1, "to": 16, "log": True}}`.

    Args:
        plugin: the strategy.
        given: options that the suite sets: these stay as they are.
        place: where it stands in the suite.

    Raises:
        UserError: its fact `tunable` is no such space.
    """
    stated, owner = plugin.facts.get("tunable", {}), f"{place}: strategy '{plugin.name}': tunable"
    if not isinstance(stated, dict) or len(stated) > MOST_OWN:
        raise UserError(f"{owner}: give at most {MOST_OWN} options and their ranges, got {shown(stated)}")
    for name in stated:
        if name not in plugin.options:
            raise unknown("option called", str(name), plugin.options, owner)
    return {name: _part(plugin, name, part, owner) for name, part in stated.items() if name not in given}


def complete(options: dict[str, Any], budget: Budget, seeds: Sequence[int], place: Callable[..., str]) -> None:
    """Fill in what a suite leaves out, and check what it says.

    Raises:
        UserError: a range that is none, a number of trials that is no power of two, or a seed of the suite's.
    """
    rate = budget.learning_rate
    options["learning_rate"] = options["learning_rate"] or [_rounded(rate / AROUND), _rounded(rate * AROUND)]
    for name in ("learning_rate", "weight_decay", "dropout"):
        given = options[name]
        fits = len(given) == 2 and given[0] <= given[1] and (given[0] > 0 or name == "dropout")
        if not fits or (name == "dropout" and given[1] >= 1) or (name == "learning_rate" and given[0] == given[1]):
            low = "from 0 to below 1" if name == "dropout" else "above 0"
            raise UserError(f"{place('options', name)}: give the lowest and the highest, {low}, got {shown(given)}")
    trials, own = options["trials"], options["trial_seeds"]
    if trials & (trials - 1):
        nearest = f"{1 << (trials.bit_length() - 1)} or {1 << trials.bit_length()}"
        raise UserError(f"{place('options', 'trials')}: give a power of two, {nearest}, got {trials}")
    if len(set(own)) < len(own):
        raise UserError(f"{place('options', 'trial_seeds')}: one seed is named twice")
    if taken := sorted(set(own) & set(seeds)):
        raise UserError(
            f"{place('options', 'trial_seeds')}: seed {taken[0]} is one of the suite's; trials that choose "
            "hyperparameters need seeds that are not evaluated"
        )


@cache
def _unit_points(count: int) -> tuple[tuple[float, ...], ...]:
    """(count, 5) in [0, 1): always of all dimensions, so that strategies with fewer options have the same points."""
    import numpy as np
    from scipy.stats import qmc  # Half a second: only where something is tuned.

    engine = qmc.Sobol(SHARED + MOST_OWN, scramble=True, rng=np.random.default_rng(SCRAMBLING))
    return tuple(map(tuple, engine.random_base2(count.bit_length() - 1).tolist()))


def _drawn(part: Mapping[str, Any], u: float) -> Any:
    """The value of one dimension at u in [0, 1); each whole number of a range has its own share of it."""
    if "of" in part:
        return part["of"][int(u * len(part["of"]))]
    low, high = part["from"], part["to"]
    if isinstance(low, int):
        wide = low * ((high + 1) / low) ** u if part.get("log") else low + (high + 1 - low) * u
        return min(high, math.floor(wide))
    return _rounded(low * (high / low) ** u if part.get("log") else low + (high - low) * u)


def _part(plugin: Plugin, name: str, part: Any, owner: str) -> dict[str, Any]:
    """One option's range, `(low, high)` or `(low, high, "log")`, or its values, a list of two or more."""
    option = plugin.options[name]
    try:
        if isinstance(part, list) and len(part) > 1:
            return {"of": [option.checked(value) for value in part]}
        if isinstance(part, tuple) and len(part) in (2, 3) and part[2:] in ((), ("log",)):
            low, high = (option.checked(end) for end in part[:2])
            numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
            if numbers and low < high and (low > 0 or len(part) == 2):
                return {"from": low, "to": high, **({"log": True} if len(part) == 3 else {})}
    except ValidationError:
        pass
    raise UserError(
        f'{owner}: {name}: give (lowest, highest), (lowest, highest, "log") or a list of values of the type of the '
        f"option, got {shown(part)}"
    )


def _rounded(value: float) -> float:
    """Six digits, so that a key does not hang on the last bit of a power."""
    return float(f"{value:.6g}")
