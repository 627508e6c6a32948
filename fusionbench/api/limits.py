"""A time limit in words: whether anything that compares fits, what was left out, how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fusionbench.core.durations import as_option, in_words
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.glances import MISSING
from fusionbench.records.store import Store

if TYPE_CHECKING:
    from fusionbench.api.foresight import Foresight
    from fusionbench.bench.jobs import Job

NAMED = 12
"""So many strategies are named."""


@dataclass(frozen=True)
class TimeLimit:
    """So many seconds, and how they were given."""

    seconds: float
    option: str = ""
    """As it stands on the command line, `10m`; empty: of a call."""

    @property
    def given(self) -> str:
        """As a sentence begins."""
        return f"--for {self.option}" if self.option else f"The time limit of {self.seconds:g} s"

    @property
    def again(self) -> str:
        """How to go on."""
        return f"the same {'command' if self.option else 'call'} goes on"


def of_call(time_limit: float | None) -> TimeLimit | None:
    """That of a call from Python; UserError if it is no time."""
    if time_limit is not None and not time_limit > 0:
        raise UserError(f"time_limit: give seconds above 0, or None, got {time_limit}")
    return None if time_limit is None else TimeLimit(time_limit)


def warned(limit: TimeLimit, suite: Suite, runs: Sequence[RunSpec], foresight: Foresight) -> str:
    """What is said before anything begins where not even one seed will be whole; empty where one will, or who knows."""
    if _whole(suite, runs, foresight.store):
        return ""
    takes = foresight.first_seed()
    if takes is None or takes <= limit.seconds:
        return ""
    way = _way_out(limit, takes, foresight)
    return f"{limit.given} is too short for one whole seed: that {way} What gets done is kept; {limit.again}."


def whole_seeds(
    suite: Suite, runs: Sequence[RunSpec], store: Store, limit: TimeLimit | None, foresight: Foresight | None = None
) -> tuple[Suite, str]:
    """The suite with the seeds alone that a time limit left whole, all if none is; and what is left out, in words.

    Args:
        suite: whose runs.
        runs: those that were wanted.
        store: their records.
        limit: None: nothing is left out.
        foresight: knows how long things take.
    """
    waiting = [run for run in runs if store.status(run) in MISSING]
    if limit is None or not waiting:
        return suite, ""
    done = f"{len(runs) - len(waiting)} of {len(runs)} runs are done; {limit.again}"
    left = foresight.all_that_is_left() if foresight else None
    done += f", about {in_words(left)} more" if left is not None else ""
    whole = _whole(suite, runs, store)
    if not whole:
        text = f"{limit.given} left out runs of every seed, so strategies are not compared on the same ones: {done}."
        takes = foresight.first_seed() if foresight else None
        return suite, f"{text} One whole seed {_way_out(limit, takes, foresight)}" if takes and foresight else text
    open_ = sorted({run.seed for run in waiting})
    seeds = f"seed{'s' * (len(open_) > 1)} {', '.join(map(str, open_))}"
    return replace(suite, seeds=whole), f"{limit.given} left out {seeds}: {done}."


def without_latency(limit: TimeLimit, untimed: Sequence[Job], foresight: Foresight) -> str:
    """That there was no time to take latencies, and how much that takes; empty where nothing is missing."""
    if not untimed:
        return ""
    takes = sum(foresight.estimates.of(job) or 0.0 for job in untimed)
    longest = max(foresight.estimates.of(job) or 0.0 for job in untimed)
    # A session is not cut: where it is longer than what is given, the same command would never get to it.
    way = limit.again if longest <= limit.seconds else f"fusionbench latency {foresight.runner.suite.name} takes it"
    return f"{limit.given} left out latencies, which take about {in_words(takes)}: {way}."


def _whole(suite: Suite, runs: Sequence[RunSpec], store: Store) -> tuple[int, ...]:
    """The seeds of which nothing is missing."""
    open_ = {run.seed for run in runs if store.status(run) in MISSING}
    return tuple(seed for seed in suite.seeds if seed not in open_)


def _way_out(limit: TimeLimit, takes: float, foresight: Foresight) -> str:
    """How long a whole seed takes, and what would fit into the time that there is."""
    text = f"takes about {in_words(takes)} here"
    if not limit.option:
        return f"{text}."
    text += f"; give --for {as_option(takes * 1.1)}"
    fitting = foresight.strategies_within(limit.seconds)
    names = ",".join(fitting[:NAMED])
    return f"{text}, or --only strategy={names}, which fits in {limit.option}." if fitting else f"{text}."
