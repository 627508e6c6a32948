"""A record as an experiment tracker shows it: names to group by, flat settings, curves by epoch, one summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fusionbench.core.canonical import sha256_of, short_key
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.reading import STATED
from fusionbench.records.record import Record
from fusionbench.records.store import LATENCY, Store

NAME_LENGTH, TAG_LENGTH = 128, 64
"""Characters that W&B takes in a name or a group, and in a tag or a job type."""
TIMES = ("p10_ms", "median_ms", "p90_ms")
DESCRIBES = frozenset({"schema", "key", "measure", *STATED})
"""What a measure's file holds beside values."""
RESULTS = frozenset({"key", "spec", "scores", "validation", "curves", "train_seconds", "epochs_run", "cost"})
"""Fields of a record that are no settings, or that have a place of their own."""


@dataclass(frozen=True)
class Rows:
    """A table, as `wandb.Table` takes it."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Bundle:
    """A folder, as an artifact."""

    name: str
    kind: str
    root: Path
    files: dict[str, str]
    """By path below the root, SHA-256."""


@dataclass(frozen=True)
class Mirror:
    """All that is sent of one run."""

    id: str
    """Suite and key: the same run is the same everywhere and however often it is sent."""
    group: str
    """`<suite>/<dataset>/<track>`."""
    job_type: str
    """The strategy."""
    name: str
    tags: tuple[str, ...]
    host: str
    """The hash that the record names its machine by."""
    config: dict[str, Any]
    """The record's settings, flat: {"budget.epochs": 20, "environment.torch": ..}."""
    curves: list[dict[str, float]]
    """Per epoch, from the first: {"train/loss": .., "validation/accuracy": ..}."""
    summary: dict[str, Any]
    """Scores and validation by their names in the record, then measures: {"test/accuracy": .., "size/..": ..}."""
    is_failure: bool = False
    tables: dict[str, Rows] = field(default_factory=dict)
    bundle: Bundle | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, wherever it lies: whether what was sent is what is there now."""
        facts = asdict(self)
        return sha256_of(facts | ({"bundle": facts["bundle"] | {"root": ""}} if self.bundle else {}))


def mirror(suite: Suite, store: Store, record: Record) -> Mirror:
    """What a record and the measures beside it come to.

    Args:
        suite: names the run's group, and the measures to look for.
        store: holds the record.
        record: of any status.
    """
    run = record.run
    begun = beginning(suite, run, str(record.environment.get("host") or "unknown"))
    strategy = slug("strategy", run.strategy)
    return replace(
        begun,
        tags=tuple(dict.fromkeys((*begun.tags, record.status))),
        config={"suite": suite.name, "key": record.key, **dict(_flat(_settings(record), "."))},
        curves=_epochs(record.curves),
        summary={**record.scores, **record.validation, **_ending(record), **_measured(suite, store, run, strategy)},
        is_failure=record.status in ("failed", "diverged"),
    )


def beginning(suite: Suite, run: RunSpec, host: str) -> Mirror:
    """What is known of a run before it has a record.

    Args:
        suite: names the run's group.
        run: of the suite.
        host: the hash of the machine that it runs on.
    """
    dataset, strategy = slug("dataset", run.dataset), slug("strategy", run.strategy)
    track = track_label(run.track)
    return Mirror(
        id=f"{suite.name}-{run.key}",
        group=group_of(suite.name, dataset, track),
        job_type=fitted(strategy, TAG_LENGTH),
        name=fitted(f"{strategy} seed {run.seed}", NAME_LENGTH),
        tags=tuple(dict.fromkeys(fitted(tag, TAG_LENGTH) for tag in (dataset, strategy, track, run.role))),
        host=host,
        config={"suite": suite.name, "key": run.key, **dict(_flat(run.to_json(), "."))},
        curves=[],
        summary={},
    )


def group_of(suite: str, dataset: str, track: str) -> str:
    """What the runs of one table are grouped by.

    Args:
        suite: its name.
        dataset: its slug.
        track: its label.
    """
    return fitted(f"{suite}/{dataset}/{track}", NAME_LENGTH)


def fitted(text: str, length: int) -> str:
    """The text, its end a hash where it is too long."""
    return text if len(text) <= length else f"{text[: length - 7]}~{short_key(text, 6)}"


def _settings(record: Record) -> dict[str, Any]:
    """The specification by its paths in a suite file, then the other facts under their fields' names."""
    facts = asdict(record)
    return {**record.spec, **{field.name: facts[field.name] for field in fields(record) if field.name not in RESULTS}}


def _ending(record: Record) -> dict[str, Any]:
    return {
        "status": record.status,
        "reason": record.reason,
        "train_seconds": record.train_seconds,
        "epochs_run": record.epochs_run,
        **{f"cost/{path}": value for path, value in _flat(record.cost, "/")},
    }


def _epochs(curves: Mapping[str, list[float]]) -> list[dict[str, float]]:
    """Row by row; a run that diverged has shorter curves of what it did not reach."""
    count = max((len(values) for values in curves.values()), default=0)
    return [{name: values[row] for name, values in curves.items() if row < len(values)} for row in range(count)]


def _measured(suite: Suite, store: Store, run: RunSpec, strategy: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for choice in suite.measures:
        values = None if choice.name == LATENCY else store.read_measure(run, choice.name)
        if values is not None:
            facts = {name: value for name, value in values.items() if name not in DESCRIBES}
            found |= {f"{choice.name}/{path}": value for path, value in _flat(facts, "/")}
    return found | _latency(store, run, strategy)


def _latency(store: Store, run: RunSpec, strategy: str) -> dict[str, Any]:
    """Of the newest session that timed the strategy."""
    for session in reversed(store.read_latency(run.dataset, run.track)):
        rows = [row for row in session["rows"] if row["strategy"] == strategy]
        if rows:
            times = {f"{_cell(row)}/{name}": row[name] for row in rows for name in TIMES}
            return {"latency/session": session["key"], **times}
    return {}


def _cell(row: Mapping[str, Any]) -> str:
    return f"latency/{row['scope']}/batch_{row['batch_size']}/threads_{row['threads']}"


def _flat(tree: Mapping[str, Any], separator: str, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by its path; lists of mappings count from 0."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, separator, f"{above}{name}{separator}")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            numbered = {str(number): item for number, item in enumerate(value)}
            yield from _flat(numbered, separator, f"{above}{name}{separator}")
        else:
            yield f"{above}{name}", value
