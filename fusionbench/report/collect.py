"""The planned runs of one table and what became of each; refuses to put side by side what does not compare."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import PluginKind, describe
from fusionbench.core.errors import UserError
from fusionbench.core.plugin_names import folder_name
from fusionbench.core.scores import lower_is_better
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.suite import Choice, Row, RunSpec, Suite
from fusionbench.records.record import Record
from fusionbench.records.resamples import Resamples
from fusionbench.records.store import Store
from fusionbench.stats.estimate import Estimate, Scored, estimate
from fusionbench.stats.refusals import refuse_mixture

TRAINED = ("calibration", "contribution", "robustness")
"""Shipped measures of trained models: a test holds the list to the catalogue."""
NO_MEASURES = ("resamples", "size", "weights")
"""Files beside a record that are none of a trained model's measures."""
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

    @cached_property
    def scores(self) -> Mapping[str, float]:
        """Test scores of a done run; empty otherwise."""
        return self.record.scores if self.record and self.state == "done" else {}

    def good(self, name: str) -> Scored:
        """As `scored`, with signs turned where lower is better: what is compared, where higher is."""
        found = self.scored(name)
        if not lower_is_better(name):
            return found
        return replace(found, score=-found.score, resamples=[-value for value in found.resamples])

    def scored(self, name: str) -> Scored:
        """One of its test scores, and what it is on other test rows."""
        return self._scored[name]

    @cached_property
    def _scored(self) -> Mapping[str, Scored]:
        found = self.resamples
        known = found.scores if found else {}
        return {
            name: Scored(score, known[name], found.draw, found.units) if found and name in known else Scored(score)
            for name, score in self.scores.items()
        }


def name_of(kind: PluginKind, choice: Choice) -> str:
    """Its slug; of a user's own plug-in that is gone, the name and a hash of its options."""
    try:
        return slug(kind, choice)
    except UserError:
        name = folder_name(choice.name)
        return f"{name}+{short_key(choice.options, 6)}" if choice.options else name


def facts_of(choice: Choice) -> Mapping[str, Any]:
    """What a strategy's source states; empty where a user's own module is gone."""
    try:
        return describe("strategy", choice.name).facts
    except UserError:
        return {}


def is_own_network(choice: Choice) -> bool:
    """Whether a strategy is any network of the user's own; a FusionModule says by its facts what it is."""
    try:
        return describe("strategy", choice.name).is_network
    except UserError:  # It is gone: only a network has a name of this form in nearly all cases.
        return ":" in choice.name


def outcomes(suite: Suite, row: Row, store: Store) -> tuple[Outcome, ...]:
    """Every planned seed of a row, in the suite's order."""
    seeds = suite.seeds_of(row.track)
    specs = (suite.run_of(row, seed) for seed in seeds)
    return tuple(_outcome(spec, store) for spec in specs)


def estimates(found: Sequence[Outcome]) -> dict[str, Estimate]:
    """Each score over the done seeds, by its name in the records; for test rows too where resamples have it.

    Of what one of these records lacks, being older than the score, there is none.
    """
    done = [outcome for outcome in found if outcome.scores]
    names = sorted(set.intersection(*(set(outcome.scores) for outcome in done))) if done else []
    return {name: estimate({o.run.seed: o.scored(name) for o in done}) for name in names}


def size_of(found: Sequence[Outcome], store: Store) -> Mapping[str, Any]:
    """Parameters and FLOPs, which are the same at every seed: from the first that has them; empty if none has."""
    for outcome in found:
        if outcome.record is not None:
            values = store.read_measure(outcome.run, "size")
            if values is not None:
                return values
    return {}


def measured(found: Sequence[Outcome], store: Store) -> dict[str, dict[int, dict[str, Any]]]:
    """By measure of a trained model and seed, what the files of done runs hold: shipped measures, then users' own."""
    read: dict[str, dict[int, dict[str, Any]]] = {}
    done = [outcome for outcome in found if outcome.state == "done"]
    there = _beside(store.folder_of(done[0].run)) if done else {}
    for name in sorted(there, key=lambda name: (name not in TRAINED, name)):
        having = [o.run for o in done if o.run.key in there[name]]
        files = {run.seed: file for run in having if (file := store.read_measure(run, name))}
        if files:
            read[name] = files
    return read


def _beside(folder: Path) -> dict[str, set[str]]:
    """By measure, the keys of the records that have it: few have any, so a folder is looked at once."""
    found: dict[str, set[str]] = {}
    for file in (path.name for path in folder.iterdir()):
        key, _, name = file.removesuffix(".json").partition(".")
        if name and file.endswith(".json") and name not in NO_MEASURES:
            found.setdefault(name, set()).add(key)
    return found


def refuse_mixtures(where: str, records: Iterable[Record]) -> None:
    """Only results of one version, under one track, on one set of data, with one split at each seed share a table.

    Raises:
        UserError: they do not.
    """
    found = list(records)
    refuse_mixture(where, "results version", (str(record.results_version) for record in found))
    refuse_mixture(where, "track", (track_label(Choice.from_json(record.spec["track"])) for record in found))
    splits: dict[int, list[str]] = {}
    for record in found:
        if record.data is not None:
            splits.setdefault(record.spec["seed"], []).append(record.data.split_sha256[:12])
    refuse_mixture(where, "data fingerprint", (record.data.fingerprint[:12] for record in found if record.data))
    for seed, here in sorted(splits.items()):
        refuse_mixture(f"{where}, seed {seed}", "split", here)
    refuse_mixture(where, "metric", (record.metric for record in found if "metric" in record.task))


def _outcome(spec: RunSpec, store: Store) -> Outcome:
    try:
        record = store.read(spec)
    except UserError as error:  # The module of a user's own strategy is gone, so its folder cannot be named.
        return Outcome(spec, "missing", str(error))
    if record is None:
        return Outcome(spec, "missing", "of an older results version" if store.status(spec) == "old" else "")
    found = _packed(store.read_resamples(spec)) if record.status == "done" else None
    return Outcome(spec, record.status, record.reason, record, found)


def _packed(found: Resamples | None) -> Resamples | None:
    """Scores as arrays of doubles: a quarter of the memory, and numpy reads them in a sixth of the time."""
    return found and replace(found, scores={name: array("d", values) for name, values in found.scores.items()})
