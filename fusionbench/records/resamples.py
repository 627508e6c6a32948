"""The file beside a record that says how sure its test scores are: the same scores on resamplings of the test rows.

Also on two halves of the test rows, the same halves for every run on the same data: whether an order of strategies
holds on other rows is seen without predictions.

The draw depends on the data and on nothing else, so that the files of two runs pair off number by number: the standard
deviation of their differences is the error that the test rows leave in a difference between two strategies, and the
differences may be averaged over seeds first. No predictions are needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fusionbench.records.reading import content_of
from fusionbench.records.record import RESULTS_VERSION, SCHEMA, InvalidRecord, Record

FIRST_VERSION = 2
"""The results_version from which every done final record has such a file."""
DECIMALS = 5
"""Rounding adds 3e-6 to an error, which at a million rows is a hundred times that."""


@dataclass(frozen=True)
class Resamples:
    """A run's test scores on every resample."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    key: str
    """The run's."""
    draw: str
    """SHA-256 of how often each test row is in each resample: only files of one draw pair off."""
    unit: Literal["rows", "clusters"]
    """What is drawn: single rows, or rows that belong together (all reviews of a film)."""
    units: int
    """How many of them the test set has, and each resample draws, with replacement."""
    resamples: int
    scores: Mapping[str, Sequence[float]]
    """By the record's names, e.g. "test/accuracy", a fraction per resample: the score that ranks, and Hit@1 where that
    is not accuracy."""
    halves: dict[str, list[float]] = field(default_factory=dict)
    """By the same names, the score on the first and on the second half of the units (the larger one first, where they
    are odd); empty in files from before there were any, and where there is one unit."""
    schema: int = SCHEMA
    results_version: int = RESULTS_VERSION


_RESAMPLES = TypeAdapter(Resamples)


def are_due(record: Record) -> bool:
    """Whether a record has such a file beside it: a done final run of this version of results or a later one."""
    return record.status == "done" and record.run.role == "final" and record.results_version >= FIRST_VERSION


def to_text(found: Resamples) -> str:
    """One line of JSON, scores rounded to DECIMALS; no word of halves where there are none: older files stay.

    Raises:
        ValueError: a score is not finite.
    """
    facts = asdict(found) | {"scores": _rounded(found.scores), "halves": _rounded(found.halves)}
    if not found.halves:
        del facts["halves"]
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def from_text(text: str | bytes) -> Resamples:
    """The inverse of `to_text`, but for the rounding.

    Raises:
        InvalidRecord: not JSON, a field missing, unknown or of the wrong type, another schema, or a score without its
            number of resamples or its two halves.
    """
    try:
        found = _RESAMPLES.validate_json(text)
    except ValidationError as error:
        raise InvalidRecord(f"no resamples: {error.errors()[0]['msg']}") from error
    if found.schema != SCHEMA:
        raise InvalidRecord(f"schema {found.schema}, this fusionbench reads {SCHEMA}")
    if not found.scores or any(len(values) != found.resamples for values in found.scores.values()):
        raise InvalidRecord(f"not {found.resamples} resamples of every score")
    if found.halves and (found.halves.keys() != found.scores.keys() or any(len(v) != 2 for v in found.halves.values())):
        raise InvalidRecord("not two halves of every score")
    return found


def _rounded(scores: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [round(value, DECIMALS) for value in values] for name, values in scores.items()}


def from_file(path: Path | str, key: str) -> Resamples:
    """The resamples of a run in a file.

    Raises:
        FileNotFoundError: there is none.
        InvalidRecord: it holds something else, or cannot be read.
    """
    found = from_text(content_of(path))
    if found.key != key:
        raise InvalidRecord(f"holds the resamples of {found.key}")
    return found
