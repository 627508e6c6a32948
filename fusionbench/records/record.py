"""The record: what one run left behind. Its JSON is the contract that every later result hangs on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fusionbench.plan.suite import RunSpec
from fusionbench.records.facts import fault

SCHEMA = 1
"""Raised when the form of a record changes so that it cannot be read as before; a new fact with a default does not."""
RESULTS_VERSION = 2
"""Raised by hand when a change to the runner moves the numbers of all runs: older records do not count as done then. A
change to one plug-in raises that plug-in's own `version` instead."""

Status = Literal["done", "diverged", "failed", "skipped"]


class InvalidRecord(Exception):
    """A file under results/ that is no record: says why."""


class ForeignRecord(InvalidRecord):
    """A record that another fusionbench made, newer or of another form: it is left where it is."""


@dataclass(frozen=True)
class DataFacts:
    """Which data a run saw."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    name: str
    fingerprint: str
    """SHA-256 of the contents: arrays, ids, labels."""
    split_sha256: str
    """SHA-256 of the rows of train, validation and test, before training rows are cut into halves."""
    counts: dict[str, int]
    """Rows in train, validation and test; train is what the run itself was trained on, so a half where its encoders
    were trained on the other."""


@dataclass(frozen=True)
class Record:
    """One run, finished in one way or another; immutable once done."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    key: str
    spec: dict[str, Any]
    """RunSpec.to_json(); the key is the hash of what is decisive in it."""
    status: Status
    reason: str = ""
    """Why it is not "done", in one line; empty when it is."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the runner fixed for the model: width, head_width; in a track that matches parameters also
    target_parameters, fusion_parameters, reachable_parameters (lowest, highest); where the learning rate was chosen,
    learning_rate and trials (validation scores by learning rate); in a tuned track what was chosen (learning_rate,
    weight_decay, dropout, own: options of the strategy) and tuning: best (its number, from 0), seeds (of the trials)
    and validation (by point the score at each of these seeds, null for a trial that did not end well); where encoders
    were trained beforehand, pretrained: by modality rows ("half" or "all"), count (how many), metric, and scores
    (train/..., validation/..., epoch)."""
    task: dict[str, Any] = field(default_factory=dict)
    """kind, classes, metric, modalities (name, kind, shape)."""
    scores: dict[str, float] = field(default_factory=dict)
    """Test scores as fractions, e.g. {"test/accuracy": 0.912}, of the epoch that was best on validation."""
    validation: dict[str, float] = field(default_factory=dict)
    """Validation scores of that epoch, and its number: {"validation/accuracy": .., "epoch": 7}."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """One number per epoch: train/loss, validation/..."""
    test_evaluations: int = 0
    """How often the test set was evaluated: 1 for a final run, 0 for a trial."""
    train_seconds: float = 0.0
    epochs_run: int = 0
    notes: list[str] = field(default_factory=list)
    """What a reader of this row has to know of this very model and its scores, a sentence each."""
    cost: dict[str, Any] = field(default_factory=dict)
    """Besides time: memory_bytes, the rise of memory while it trained and was tested, and memory_of ("process" or
    "device"); joules by "processor" and "device", as counters of the machine say, whatever else ran there; uncounted:
    by name, why one of them is not here. Records of before it was counted have none."""
    threads: int = 1
    devices: int = 1
    data: DataFacts | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    """UTC, ISO 8601."""
    finished: str = ""
    log: list[str] = field(default_factory=list)
    """Of a run whose process died or was ended: the last lines that it printed, and where it was, if it told. Where it
    is empty, it is no part of the file."""
    schema: int = SCHEMA
    results_version: int = RESULTS_VERSION

    @cached_property
    def run(self) -> RunSpec:
        """The run that this record answers."""
        return RunSpec.from_json(self.spec)

    @property
    def metric(self) -> str:
        """The score that ranks, e.g. "test/accuracy"."""
        return f"test/{self.task['metric']}"

    @property
    def score(self) -> float | None:
        """What ranks it: the test score of a final run, the validation score of a trial; None if it has none."""
        if "metric" not in self.task:
            return None
        found = self.validation if self.run.role == "trial" else self.scores
        return found.get(f"{'validation' if self.run.role == 'trial' else 'test'}/{self.task['metric']}")


_RECORD = TypeAdapter(Record)


def to_text(record: Record) -> str:
    """The record as indented JSON with sorted keys; ValueError if a number is not finite."""
    return json.dumps(facts_of(record), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def facts_of(record: Record) -> dict[str, Any]:
    """The record's fields, as its file has them."""
    facts = asdict(record)
    if not record.log:
        del facts["log"]
    return facts


def from_text(text: str | bytes, expected: RunSpec | None = None) -> Record:
    """The inverse of `to_text`.

    Args:
        text: JSON.
        expected: the run whose record it should be. Where its spec is that of the record, the record's key is taken for
            the hash of it without hashing it anew.

    Raises:
        InvalidRecord: not JSON, a field missing, unknown or of the wrong type, or a key that is not the hash of the
            spec.
        ForeignRecord: another schema, or results of a later version than this fusionbench makes.
    """
    try:
        record = _RECORD.validate_json(text)
    except ValidationError as error:
        _refuse_foreign(text)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRecord(f"{place + ': ' if place else ''}{first['msg']}") from error
    _refuse_other(record.schema, record.results_version)
    if expected is not None and record.key == expected.key and record.spec == expected.to_json():
        record.__dict__["run"] = expected  # What the cached property would read from the spec.
    _refuse_wrong(record)
    return record


def _refuse_wrong(record: Record) -> None:
    """Refuse one whose parts do not belong together."""
    try:
        key = record.run.key
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRecord(f"spec: {error}") from error
    if key != record.key:
        raise InvalidRecord(f"key {record.key} is not the hash of its spec ({key})")
    is_trial = record.run.role == "trial"
    if record.status == "done" and (not (record.validation if is_trial else record.scores) or record.data is None):
        raise InvalidRecord("done, yet without scores or data")
    if problem := fault(record.options, record.task, record.cost, record.scores, record.validation):
        raise InvalidRecord(problem)
    if is_trial and (record.scores or record.test_evaluations):
        raise InvalidRecord("a trial that was evaluated on the test rows")


def _refuse_foreign(text: str | bytes) -> None:
    """Of what is no record here: those of another schema need not have the fields of this one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # What is wrong with it is known already.
        return
    if isinstance(found, dict):
        _refuse_other(found.get("schema"), found.get("results_version"))


def _refuse_other(schema: object, version: object) -> None:
    if isinstance(schema, int) and schema != SCHEMA:
        raise ForeignRecord(f"schema {schema}, this fusionbench reads {SCHEMA}")
    if isinstance(version, int) and version > RESULTS_VERSION:
        raise ForeignRecord(f"results version {version}, this fusionbench makes {RESULTS_VERSION}")
