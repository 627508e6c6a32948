"""Tracks: what is held equal between the strategies of one table, and the trial runs that a choice takes.

    same_encoders        encoders and budget are equal; every MLP head is as wide as the encodings
    matched_parameters   the fusion's parameters are equal too, within 5 % of a target, by the width of its MLP heads;
                         each strategy has the best of a few learning rates, by validation at a seed of its own;
                         with `solve: own` heads are as wide as the encodings, and a width of the strategy's own does it
    tuned                encoders and budget are equal, and so is the search for hyperparameters: as many trials for
                         every strategy, in the same shared space and at most two options of its own; see tuned.py

A trial trains as any run does, but is never tested. In `matched_parameters` they come in rounds: while the best rate is
the last of those tried, the next one, FACTOR times as large or small, is tried too, at most `grow` times each way. What
trials a run has follows from its spec and from what became of the trials so far, and from nothing else: so a plan, a
shard, a resumed run and another runner agree. What a run takes over from them needs no field in its spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fusionbench.core.canonical import canonical_json
from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.options import complaint
from fusionbench.plan import tuned
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import MATCHED_PARAMETERS, SAME_ENCODERS, TUNED, Choice, RunSpec
from fusionbench.plan.suite_file import LARGEST_SEED, STRICT, TRIAL_SEED

GRID = (0.3, 1.0, 3.0)
"""Learning rates that are tried by default, in units of the budget's."""
FACTOR = 3.0
"""Between a grid's last learning rate and the next that it grows by."""


@dataclass(config=STRICT, kw_only=True)
class SameEncoders:
    """Encoders and budget are equal; every MLP head is as wide as the encodings."""


@dataclass(config=STRICT, kw_only=True)
class MatchedParameters:
    """The fusion's parameters are equal too, within 5 % of a target; the learning rate is chosen on validation."""

    target: Annotated[int, Field(ge=1)] | None = None
    """Parameters of the fusion; left out: those of `concat` with a head as wide as the encodings."""
    learning_rates: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=list)
    """Peak learning rates to try; left out: 0.3, 1 and 3 times the budget's. One alone needs no trials."""
    grow: int = Field(default=2, ge=0, le=10)
    """How many learning rates may be added at each end, while the best is the last there."""
    trial_seed: int = Field(default=TRIAL_SEED, ge=0, le=LARGEST_SEED)
    """Of the trials; no seed of the suite."""
    solve: Literal["head", "own"] = "head"
    """What is solved for: the width of the heads, or the option that a strategy's `own_width` names."""


@plain_dataclass(frozen=True)
class Trial:
    """What became of a trial."""

    status: str
    """That of its record."""
    rank: tuple[float, float]
    """Larger is better, as `core.scores.rank` says; of one that did not end well (-inf, -inf)."""


LATER: Mapping[str, Any] = {"solve": "head"}
"""Options that came after the first results, with the value that means "as before": left out of keys there."""
TRACKS = {SAME_ENCODERS: SameEncoders, MATCHED_PARAMETERS: MatchedParameters, TUNED: tuned.Tuned}


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
    complete = {MATCHED_PARAMETERS: _complete, TUNED: tuned.complete}.get(name)
    if complete is not None:
        complete(options, budget, seeds, place)
    return Choice(name, {option: value for option, value in options.items() if LATER.get(option, ...) != value})


def solves_own(track: Choice) -> bool:
    """Whether parameters are matched by a width of the strategy's own, not by its head's."""
    return track.options.get("solve", LATER["solve"]) == "own"


def head_times(strategy: Choice) -> int:
    """How many times as wide as the width that is solved for a strategy's heads are: nearly always once.

    1 where its source, a user's own that is gone, does not say it.
    """
    try:
        option = describe("strategy", strategy.name).facts.get("widened_by", "")
    except UserError:
        return 1
    times = strategy.options.get(option, 1)
    return times if isinstance(times, int) else 1


def has_trials(run: RunSpec) -> bool:
    """Whether trials choose something for a run: its learning rate, or all that its track tunes."""
    if run.role != "final" or not tuned.takes_steps(run.strategy):
        return False
    return "trials" in run.track.options if run.track.name == TUNED else len(_first_round(run)) > 1


def trials_of(run: RunSpec, became: Callable[[RunSpec], Trial | None]) -> tuple[RunSpec, ...]:
    """The trials of a run, as far as is known by now; none where it has no choice.

    Args:
        run: any.
        became: what became of a trial; None: it has no record yet.
    """
    if not has_trials(run):
        return ()
    if run.track.name == TUNED:
        # Seed by seed: what frozen encoders give is stored for one seed at a time.
        pairs = zip(*(tuned.trials_at(run, point) for point in tuned.points(run)), strict=True)
        return tuple(trial for of_seed in pairs for trial in of_seed)
    return tuple(trial_at(run, rate) for rate in learning_rates(run, became))


def settled(run: RunSpec, options: Mapping[str, Any]) -> RunSpec:
    """A final run with what its trials chose written into it: it trains the same, and needs no trials.

    Args:
        run: a final run.
        options: those of its record.
    """
    if not has_trials(run):
        return run
    rate = options["learning_rate"]
    if run.track.name == TUNED:
        point = tuned.Point(rate, options["weight_decay"], options["dropout"], options.get("own", {}))
        return tuned.run_at(run, point)
    return replace(run, track=replace(run.track, options={**run.track.options, "learning_rates": [rate]}))


def learning_rates(run: RunSpec, became: Callable[[RunSpec], Trial | None]) -> tuple[float, ...]:
    """The peak learning rates that a final run is to be tried at, as far as is known by now, in rising order.

    Args:
        run: a final run.
        became: what became of a trial; None: it has no record yet.
    """
    first = _first_round(run)
    rates = list(first)
    if not has_trials(run):
        return first
    while True:
        found = [became(trial_at(run, rate)) for rate in rates]
        known = [trial for trial in found if trial is not None]
        if len(known) < len(rates):
            return tuple(rates)  # This round is not over.
        best = max(range(len(known)), key=lambda index: known[index].rank)
        if all(trial.status not in ("done", "diverged") for trial in known):
            return tuple(rates)  # Another rate would end likewise.
        if best == len(rates) - 1 and known[best].status == "done" and _added(rates, first)[1] < _grow(run):
            rates.append(_rounded(rates[-1] * FACTOR))
        elif best == 0 and _added(rates, first)[0] < _grow(run):  # Also where all diverged.
            rates.insert(0, _rounded(rates[0] / FACTOR))
        else:
            return tuple(rates)


def is_at_limit(run: RunSpec, rates: Sequence[float], chosen: float) -> bool:
    """Whether the chosen learning rate is the last of a grid that may not grow further there."""
    below, above = _added(rates, _first_round(run))
    ordered = sorted(rates)
    return (chosen == ordered[0] and below >= _grow(run)) or (chosen == ordered[-1] and above >= _grow(run))


def trial_at(run: RunSpec, rate: float) -> RunSpec:
    """The trial of a final run at a learning rate; all seeds of a row share it."""
    # What decides a trial's result and no more: a grid with another rate in it finds the trials of the others.
    decides = {option: value for option, value in run.track.options.items() if option in ("target", "solve")}
    track = Choice(run.track.name, decides)
    shared = replace(run, track=track, seed=run.track.options["trial_seed"], role="trial")
    return replace(shared, budget=replace(run.budget, learning_rate=rate))


def _first_round(run: RunSpec) -> tuple[float, ...]:
    """The rates that a run is tried at first."""
    if not tuned.takes_steps(run.strategy):
        return (run.budget.learning_rate,)
    return tuple(run.track.options.get("learning_rates", (run.budget.learning_rate,)))


def _grow(run: RunSpec) -> int:
    return int(run.track.options["grow"])


def _added(rates: Sequence[float], first: Sequence[float]) -> tuple[int, int]:
    """How many were added below the first round's, and above."""
    return sum(rate < first[0] for rate in rates), sum(rate > first[-1] for rate in rates)


def _rounded(rate: float) -> float:
    """Six digits: 0.002 * 3 is 0.006."""
    return float(f"{rate:.6g}")


def _complete(options: dict[str, Any], budget: Budget, seeds: Sequence[int], place: Callable[..., str]) -> None:
    rates = options["learning_rates"] or [_rounded(budget.learning_rate * factor) for factor in GRID]
    options["learning_rates"] = sorted(rates)
    if len(set(rates)) < len(rates):
        raise UserError(f"{place('options', 'learning_rates')}: one learning rate is named twice")
    if options["trial_seed"] in seeds:
        raise UserError(
            f"{place('options', 'trial_seed')}: seed {options['trial_seed']} is one of the suite's; trials that choose "
            "the learning rate need a seed that is not evaluated"
        )
