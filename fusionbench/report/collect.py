"""The planned runs of one table and what became of each; refuses to put side by side what does not compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import PluginKind, describe
from fusionbench.core.errors import UserError
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Choice, Row, RunSpec, Suite
from fusionbench.records.record import Record
from fusionbench.records.resamples import Resamples
from fusionbench.records.store import Store
from fusionbench.stats.estimate import Scored
from fusionbench.stats.summary import Summary, mean_interval

State = Literal["done", "diverged", "failed", "skipped", "missing"]


@dataclass(frozen=True)
class Outcome:
    """What became of one planned run."""

    run: RunSpec
    state: State
    """The record's status, or "missing"."""
    reason: str = ""
    record: Record | None = None
    resamples: Resamples | None = None
    """Its test scores on resampled test rows, of a done run."""

    @property
    def scores(self) -> Mapping[str, float]:
        """Test scores of a done run; empty otherwise."""
        return self.record.scores if self.record and self.state == "done" else {}

    def scored(self, name: str) -> Scored:
        """One of its test scores, and what it is on other test rows."""
        found = self.resamples if self.resamples and name in self.resamples.scores else None
        if found is None:
            return Scored(self.scores[name])
        return Scored(self.scores[name], found.scores[name], found.draw, found.units)


def name_of(kind: PluginKind, choice: Choice) -> str:
    """Its slug; of a user's own plug-in that is gone, the name and a hash of its options."""
    try:
        return slug(kind, choice)
    except UserError:
        return f"{choice.name}+{short_key(choice.options, 6)}" if choice.options else choice.name


def facts_of(choice: Choice) -> Mapping[str, Any]:
    """What a strategy's source states; empty where a user's own module is gone."""
    try:
        return describe("strategy", choice.name).facts
    except UserError:
        return {}


def outcomes(suite: Suite, row: Row, store: Store) -> tuple[Outcome, ...]:
    """Every planned seed of a row, in the suite's order."""
    seeds = suite.seeds_of(row.track)
    specs = (suite.run_of(row, seed) for seed in seeds)
    return tuple(_outcome(spec, store) for spec in specs)


def summaries(found: Sequence[Outcome]) -> dict[str, Summary]:
    """Each score over the done seeds, by its name in the records."""
    names = sorted({name for outcome in found for name in outcome.scores})
    return {name: mean_interval([o.scores[name] for o in found if name in o.scores]) for name in names}


def size_of(found: Sequence[Outcome], store: Store) -> Mapping[str, Any]:
    """Parameters and FLOPs, which are the same at every seed: from the first that has them; empty if none has."""
    for outcome in found:
        if outcome.record is not None:
            values = store.read_measure(outcome.run, "size")
            if values is not None:
                return values
    return {}


def refuse_mixtures(where: str, records: Iterable[Record]) -> None:
    """Only results on one set of data, with one split at each seed, may share a table; of another version none counts.

    Raises:
        UserError: they do not.
    """
    found = list(records)
    done = [record for record in found if record.data is not None]
    _one(where, "data fingerprint", Counter(record.data.fingerprint[:12] for record in done if record.data))
    for seed in sorted({record.spec["seed"] for record in done}):
        here = [record for record in done if record.spec["seed"] == seed]
        splits = Counter(record.data.split_sha256[:12] for record in here if record.data)
        _one(f"{where}, seed {seed}", "split", splits)
    _one(where, "metric", Counter(record.metric for record in found if "metric" in record.task))


def _outcome(spec: RunSpec, store: Store) -> Outcome:
    try:
        record = store.read(spec)
    except UserError as error:  # The module of a user's own strategy is gone, so its folder cannot be named.
        return Outcome(spec, "missing", str(error))
    if record is None:
        return Outcome(spec, "missing", "of an older results version" if store.status(spec) == "old" else "")
    found = store.read_resamples(spec) if record.status == "done" else None
    return Outcome(spec, record.status, record.reason, record, found)


def _one(where: str, what: str, counts: Counter[str]) -> None:
    if len(counts) > 1:
        stated = ", ".join(f"{value} ({runs} runs)" for value, runs in sorted(counts.items()))
        raise UserError(
            f"{where}: one table cannot mix a {what} of {stated};\n"
            "move the older records away and run the suite again, or run it with another --results folder"
        )
