"""Tracks: what is held equal between the strategies of one table, and the trial runs that a choice takes.

    same_encoders        encoders and budget are equal; every MLP head is as wide as the encodings
    matched_parameters   the fusion's parameters are equal too, within 5 % of a target, by the width of its MLP heads;
                         each strategy has the best of a few learning rates, by validation at a seed of its own

A trial trains as any run does, but is never tested. What a final run takes over from its trials is a function of its
spec alone, so it needs no field of its own there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fusionbench.core.canonical import canonical_json
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.options import complaint
from fusionbench.plan.schema import LARGEST_SEED, STRICT
from fusionbench.plan.suite import MATCHED_PARAMETERS, SAME_ENCODERS, Budget, Choice, RunSpec

GRID = (0.3, 1.0, 3.0)
"""Learning rates that are tried by default, in units of the budget's."""
TRIAL_SEED = 1_000_000
"""Far from any that counts up from 0: a suite that gets more seeds keeps its trials."""


@dataclass(config=STRICT, kw_only=True)
class SameEncoders:
    """Nothing to set."""


@dataclass(config=STRICT, kw_only=True)
class MatchedParameters:
    """Its options in a suite file."""

    target: Annotated[int, Field(ge=1)] | None = None
    """Parameters of the fusion; None: those of `concat` with a head as wide as the encodings."""
    learning_rates: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=list)
    """Peak learning rates to try; none: GRID times the budget's. One alone needs no trials."""
    trial_seed: int = Field(default=TRIAL_SEED, ge=0, le=LARGEST_SEED)
    """Of the trials; no seed of the suite."""


TRACKS = {SAME_ENCODERS: SameEncoders, MATCHED_PARAMETERS: MatchedParameters}


def filled_track(
    name: str, given: Mapping[str, Any], budget: Budget, seeds: Sequence[int], place: Callable[..., str]
) -> Choice:
    """A track with all its options.

    Args:
        name: of the track.
        given: the options that are set.
        budget: the suite's.
        seeds: the suite's.
        place: says where an option stands, `place("options", "target")`, and where the track does, `place()`.

    Raises:
        UserError: no such track or option, a value that cannot be, or trials at one of the suite's seeds.
    """
    if name not in TRACKS:
        raise unknown("track", name, TRACKS, place())
    adapter: TypeAdapter[Any] = TypeAdapter(TRACKS[name])
    try:
        options = adapter.dump_python(adapter.validate_json(canonical_json(given)), mode="json")
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "unexpected_keyword_argument":
            known = adapter.json_schema().get("properties", {})
            raise unknown(f"option of track '{name}' called", str(problem["loc"][-1]), known, place()) from error
        path = [part for part in problem["loc"] if isinstance(part, int) or part in given]
        raise UserError(f"{place('options', *path)}: track '{name}': {complaint(problem)}") from error
    if name == MATCHED_PARAMETERS:
        _complete(options, budget, seeds, place)
    return Choice(name, options)


def track_label(track: Choice) -> str:
    """The track as files and groups name it: `matched_parameters+target=100000`; one of a kind within a suite."""
    target = track.options.get("target")
    return track.name if target is None else f"{track.name}+target={target}"


def trials_of(run: RunSpec) -> tuple[RunSpec, ...]:
    """The runs on whose validation scores a final run's learning rate is chosen; none if there is no choice."""
    rates = learning_rates(run)
    if run.role == "trial" or len(rates) < 2:
        return ()
    # What decides a trial's result and no more: a grid with another rate in it finds the trials of the others.
    track = Choice(run.track.name, {"target": run.track.options["target"]})
    shared = replace(run, track=track, seed=run.track.options["trial_seed"], role="trial")
    return tuple(replace(shared, budget=replace(run.budget, learning_rate=rate)) for rate in rates)


def all_trials(runs: Iterable[RunSpec]) -> list[RunSpec]:
    """The trials of several runs, each once."""
    return list({trial.key: trial for run in runs for trial in trials_of(run)}.values())


def learning_rates(run: RunSpec) -> tuple[float, ...]:
    """The peak learning rates that a run may have."""
    return tuple(run.track.options.get("learning_rates", (run.budget.learning_rate,)))


def _complete(options: dict[str, Any], budget: Budget, seeds: Sequence[int], place: Callable[..., str]) -> None:
    rates = options["learning_rates"] or [float(f"{budget.learning_rate * factor:.6g}") for factor in GRID]
    options["learning_rates"] = sorted(rates)
    if len(set(rates)) < len(rates):
        raise UserError(f"{place('options', 'learning_rates')}: one learning rate is named twice")
    if options["trial_seed"] in seeds:
        raise UserError(
            f"{place('options', 'trial_seed')}: seed {options['trial_seed']} is one of the suite's; trials that choose "
            "the learning rate need a seed that is not evaluated"
        )
