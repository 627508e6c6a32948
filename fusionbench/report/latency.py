"""Which latency session a table shows: one session on one device, since times from two do not compare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from fusionbench.core.output import printable

Scope = Literal["fusion", "end_to_end"]
Positive = Annotated[float, Field(gt=0)]
ENOUGH_SECONDS = 2.0
ENOUGH_CALLS = 200
"""What a median needs to be more than indicative."""


@dataclass(frozen=True)
class Timing:
    """One strategy, timed at one batch size."""

    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)

    strategy: str
    """Its slug."""
    scope: Scope
    batch_size: int
    threads: int
    device: str
    calls: int
    median_ms: Positive
    """For the whole batch."""
    p10_ms: Positive
    p90_ms: Positive
    spread: float
    """Largest less smallest median of a round, as a fraction of the median."""


@dataclass(frozen=True)
class Latency:
    """The timings of one session on one device at one number of threads."""

    device: str
    threads: int
    started: str
    """UTC, ISO 8601."""
    timings: Mapping[tuple[str, str, int], Timing]
    """By strategy, scope and batch size."""
    seconds: float
    """Asked for, for each timing; the calls alone add up to a little less."""

    @property
    def indicative(self) -> bool:
        """Whether some timing is too short to be more than that."""
        return self.seconds < ENOUGH_SECONDS or any(t.calls < ENOUGH_CALLS for t in self.timings.values())

    def median_ms(self, strategy: str, scope: Scope, batch_size: int) -> float | None:
        """The median time of a whole batch, or None where it was not timed."""
        timing = self.timings.get((strategy, scope, batch_size))
        return timing.median_ms if timing else None


_TIMINGS = TypeAdapter(tuple[Timing, ...])


def newest_complete(
    sessions: Sequence[Mapping[str, Any]], planned: Collection[str], told: Callable[[str], None]
) -> Latency | None:
    """The session and device that cover most of the planned strategies; the newest of those that cover as many.

    Of several numbers of threads it shows the smallest, which every machine has.

    Args:
        sessions: as `Store.read_latency` gives them.
        planned: slugs of the table's strategies; others are left out.
        told: hears of every session that lacks a field, or has a timing that is no number: it does not count.
    """
    found: list[Latency] = []
    for session in sessions:
        try:
            found += _by_device(session, planned)
        except (KeyError, TypeError, ValueError) as error:
            told(f"latency session {session.get('key', '?')}: {_what(error)}; not counted, take another")
    return max(found, key=lambda latency: (len({key[0] for key in latency.timings}), latency.started), default=None)


def _by_device(session: Mapping[str, Any], planned: Collection[str]) -> list[Latency]:
    timings = [t for t in _TIMINGS.validate_python(session["rows"]) if t.strategy in planned]
    name, started = printable(str(session["device"])), printable(str(session["started"]))
    seconds = float(session["options"]["seconds"])
    latencies = []
    for device in sorted({timing.device for timing in timings}):
        here = [timing for timing in timings if timing.device == device]
        threads = min(timing.threads for timing in here)
        chosen: dict[tuple[str, str, int], Timing] = {
            (t.strategy, t.scope, t.batch_size): t for t in here if t.threads == threads
        }
        latencies.append(Latency(name, threads, started, chosen, seconds))
    return latencies


def _what(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"rows.{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].lower()}"
    return f"no {error}" if isinstance(error, KeyError) else str(error)
