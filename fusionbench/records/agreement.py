"""Whether a run that was done again agrees with its record: byte for byte where that may be asked, else closely.

    byte for byte    same processor and instruction sets, torch, threads, devices, and variables that pick kernels:
                     every score, on test and validation, and every curve
    closely          |test score - that of the record| <= max(2 / test rows, 3 s),  s its standard deviation over seeds
                     |curve - that of the record| <= 0.001 after the first epoch

s is that of the row's other seeds: with its own, a record that was altered would widen what is allowed to it. Where a
record does not state something, such as instruction sets in older ones, it counts as the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from fusionbench.records.record import DataFacts, Record

ROWS, SPREADS, FIRST_EPOCH = 2, 3.0, 1e-3
DECISIVE = {"cpu": "processor", "instructions": "instruction sets", "gpu": "GPU", "torch": "torch"}
"""Of an environment, what picks kernels, as a sentence names it."""
STATED = ("system", "python", "fusionbench", "lightning", "torchmetrics", "numpy", "scikit-learn", "commit")
"""Of an environment, what is told where a run does not agree."""


@dataclass(frozen=True)
class Number:
    """One published number that was not found again."""

    name: str
    """`test/accuracy`, `validation/nll after epoch 1`."""
    then: float
    now: float | None
    """None: it is not there any more."""
    allowed: float
    """How far it might be away."""


@dataclass(frozen=True)
class Verdict:
    """What a second training says of a record."""

    unlike: tuple[str, ...] = ()
    """Why the same bytes cannot be asked for, a phrase each; none: they can."""
    bytes_are_equal: bool = False
    outside: tuple[Number, ...] = ()
    """Numbers that are further away than they may be."""
    data: tuple[str, ...] = ()
    """What differs in the data: then it is another cell."""
    environment: tuple[str, ...] = ()
    """What differs elsewhere; decides nothing."""
    ended: str = ""
    """How it ended this time, where that was not well."""

    @property
    def holds(self) -> bool:
        """Whether the record is confirmed."""
        return not (self.outside or self.data or self.ended)


def compared(then: Record, now: Record, others: Sequence[Record]) -> Verdict:
    """A published record against the run done again.

    Args:
        then: the published one, done.
        now: the other.
        others: done records of the same row at other seeds.
    """
    unlike = tuple(_unlike(then, now))
    told = (*unlike, *_phrases(then.environment, now.environment, {name: name for name in STATED}))
    data = tuple(_data(then.data, now.data))
    if now.status != "done":
        return Verdict(unlike, data=data, environment=told, ended=f"{now.status}: {now.reason}")
    changed = tuple(_changed(then, now))
    outside = tuple(_far(then, now, others)) if unlike else changed
    return Verdict(unlike, not changed, outside, data, told)


def allowed(then: Record, score: str, others: Sequence[Record]) -> float:
    """How far a test score may be away where the same bytes cannot be asked for."""
    rows = then.data.counts.get("test", 0) if then.data else 0
    found = [record.scores[score] for record in others if score in record.scores]
    spread = stdev(found) if len(found) > 1 else 0.0
    return max(ROWS / rows if rows else 0.0, SPREADS * spread)


def _unlike(then: Record, now: Record) -> Iterator[str]:
    yield from _phrases(then.environment, now.environment, DECISIVE)
    for name in ("threads", "devices"):
        before, after = getattr(then, name), getattr(now, name)
        if before != after:
            yield f"{name}: {before} then, {after} now"
    ours, theirs = (record.environment.get("variables") for record in (then, now))
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                yield f"variable {name}: {ours.get(name, 'not set')} then, {theirs.get(name, 'not set')} now"


def _phrases(then: Mapping[str, Any], now: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """What both state, and differs."""
    for name, words in names.items():
        if name in then and name in now and then[name] != now[name]:
            before, after = (_shown(name, one[name], other[name]) for one, other in ((then, now), (now, then)))
            yield f"{words}: {before} then, {after} now"


def _shown(name: str, value: Any, other: Any) -> str:
    """Of instruction sets only those that the other does not have."""
    if name == "instructions":
        return " ".join(word for word in str(value).split() if word not in str(other).split()) or "no others"
    return str(value)[:12] if name == "commit" else str(value) or "none"


def _data(then: DataFacts | None, now: DataFacts | None) -> Iterator[str]:
    if then is None or now is None:
        return
    for name, words in (("fingerprint", "fingerprint of the data"), ("split_sha256", "hash of the split")):
        before, after = getattr(then, name), getattr(now, name)
        if before != after:
            yield f"{words}: {before[:12]} then, {after[:12]} now"
    if then.counts != now.counts:
        yield f"rows: {_counts(then)} then, {_counts(now)} now"


def _counts(facts: DataFacts) -> str:
    return ", ".join(f"{count} {part}" for part, count in facts.counts.items())


def _changed(then: Record, now: Record) -> Iterator[Number]:
    """Every published number that is not the same; of a curve the first."""
    for before, after in ((then.scores, now.scores), (then.validation, now.validation)):
        for name, value in before.items():
            if value != after.get(name):
                yield Number(name, value, after.get(name), 0.0)
    for name, curve in then.curves.items():
        again = now.curves.get(name, [])
        for epoch, value in enumerate(curve):
            other = again[epoch] if epoch < len(again) else None
            if value != other:
                yield Number(f"{name} after epoch {epoch + 1}", value, other, 0.0)
                break
    if then.epochs_run != now.epochs_run:
        yield Number("epochs", then.epochs_run, now.epochs_run, 0.0)


def _far(then: Record, now: Record, others: Sequence[Record]) -> Iterator[Number]:
    for name, value in then.scores.items():
        yield from _away(name, value, now.scores.get(name), allowed(then, name, others))
    for name, curve in then.curves.items():
        again = now.curves.get(name, [])
        if curve:
            yield from _away(f"{name} after epoch 1", curve[0], again[0] if again else None, FIRST_EPOCH)


def _away(name: str, then: float, now: float | None, most: float) -> Iterator[Number]:
    if now is None or abs(then - now) > most:
        yield Number(name, then, now, most)
