"""What a suite file may hold: its fields, what they mean, their ranges and short forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetJsonSchemaHandler
from pydantic.dataclasses import dataclass

from fusionbench.core.durations import LONGEST_S
from fusionbench.plan.budget import Budget, OptimiserName, Precision, TrainedOn
from fusionbench.plan.suite import SAME_ENCODERS

STRICT = ConfigDict(extra="forbid", strict=True)
NAME = r"^[a-z0-9][a-z0-9_-]*$"
"""Of a suite and of a family."""
SEEDS = 6
"""The smallest number of paired seeds at which an exact sign test can reach .05."""
MOST_SEEDS = 10_000
LARGEST_SEED = 2**32 - 1
"""What NumPy and Lightning take."""
TRIAL_SEED = 1_000_000
"""The first of the seeds that trials have: far from any that counts up from 0, so that a suite that gets more seeds
keeps its trials."""
DEFAULTS: Mapping[str, Any] = {"tracks": [SAME_ENCODERS], "measures": [{"name": "size"}], "seeds": SEEDS}
"""What a suite file has where it leaves these out."""


class Short:
    """A shorter form that a file may have in the place of a value; schema.py writes it out before anything is checked.

    Said here, so that the JSON Schema knows it.
    """

    def __init__(self, form: Mapping[str, Any]) -> None:
        self.form = form

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The value, or its short form."""
        return {"anyOf": [dict(self.form), handler(core)]}


A_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 1}
A_NAME = Short({"type": "string"})
A_DURATION: Mapping[str, Any] = {"type": "string", "pattern": "^[0-9.]+[hmsHMS]"}
Seeds = list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]]
DIFFERENT = {"minItems": 1, "uniqueItems": True}


@dataclass(config=STRICT, kw_only=True)
class FileChoice:
    """A name and its options."""

    name: str
    """A shipped one (`fusionbench list`), or your own: package.module, package.module:Net, path/to/file.py:Net."""
    options: dict[str, Any] = Field(default_factory=dict)
    """By name; those that are left out are as by default."""


@dataclass(config=STRICT, kw_only=True)
class FileDataset(FileChoice):
    """A data set, how tables and pictures call it, and the score that ranks on it."""

    title: str | None = Field(default=None, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$", max_length=60)
    """For tables and pictures; where it is left out, made of name and options. No part of a key."""
    metric: str | None = None
    """The score that ranks tables, picks epochs and trials, and is tested; where it is left out, the data set's own."""
    train_missing: dict[str, Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]] = Field(default_factory=dict)
    """By modality, the share of training rows that lack it, from 0 to below 1; which rows, the seed decides."""


@dataclass(config=STRICT, kw_only=True)
class FileStrategy(FileChoice):
    """A strategy and its options."""


@dataclass(config=STRICT, kw_only=True)
class FileMeasure(FileChoice):
    """What is measured besides scores, and how."""


@dataclass(config=STRICT, kw_only=True)
class FileTraining:
    """What training may cost, of a run or of an encoder beforehand."""

    # Those of plan.budget.Budget, whose docstrings say what they mean, with their ranges.
    epochs: int = Field(default=Budget.epochs, ge=1)
    batch_size: int = Field(default=Budget.batch_size, ge=1)
    learning_rate: float = Field(default=Budget.learning_rate, gt=0)
    weight_decay: float = Field(default=Budget.weight_decay, ge=0)
    dropout: float = Field(default=Budget.dropout, ge=0, lt=1)
    precision: Precision = Budget.precision
    patience: int = Field(default=Budget.patience, ge=0)
    head_norm: bool = Budget.head_norm
    optimiser: OptimiserName = Budget.optimiser
    momentum: float = Field(default=Budget.momentum, ge=0, lt=1)


@dataclass(config=STRICT, kw_only=True)
class FileBudget(FileTraining):
    """What training may cost, the same for every strategy."""

    time_limit: Annotated[float, Field(ge=0, le=LONGEST_S), Short(A_DURATION)] = 0.0
    """What a run may take, in seconds or as 90s, 10m, 1.5h; one that takes longer is ended, and fails. 0: no limit. No
    part of a key."""


@dataclass(config=STRICT, kw_only=True)
class FilePretraining(FileTraining):
    """The budget under which an encoder is trained beforehand, and on which of the training rows."""

    rows: TrainedOn | None = None
    """Where it is left out: all for labels that are the modality's own, half for the task's."""


@dataclass(config=STRICT, kw_only=True)
class FileEncoder(FileChoice):
    """An encoder, and how it is trained beforehand, if it is."""

    pretrain: Annotated[FilePretraining, Short({"type": "boolean"})] | None = None
    """Train it first and then freeze it: true, or what differs from the suite's budget."""


@dataclass(config=STRICT, kw_only=True)
class FileTrack(FileChoice):
    """What is held equal in a table, and which of the suite's seeds it has."""

    name: str
    """same_encoders, matched_parameters or tuned."""
    seeds: Annotated[Seeds, Field(json_schema_extra=DIFFERENT), Short(A_COUNT)] | None = None
    """The first so many of the suite's, or a list of some; where it is left out, all."""


@dataclass(config=STRICT, kw_only=True)
class FileFamily:
    """Rows that are tested pair by pair."""

    name: str = Field(pattern=NAME, max_length=64)
    """Up to 64 lower-case letters, digits, - and _."""
    rows: list[str] = Field(min_length=2)
    """Strategies, each for all of its rows, or single rows such as gated_by_one+gate=left; at most twelve rows."""


@dataclass(config=STRICT, kw_only=True)
class SuiteFile:
    """A suite of fusionbench: what is compared, on what, under which budget."""

    name: str = Field(pattern=NAME, max_length=64)
    """Up to 64 lower-case letters, digits, - and _; records stand in a folder of this name."""
    datasets: list[Annotated[FileDataset, A_NAME]] = Field(min_length=1)
    """What is trained on; a table for each. A name, or name and options."""
    strategies: Annotated[list[Annotated[FileStrategy, A_NAME]], Field(min_length=1), Short({"const": "all"})]
    """What is compared: names, or names and options; or all. One that takes a modality is a row for each."""
    seeds: Annotated[Seeds, Field(json_schema_extra=DIFFERENT), Short({**A_COUNT, "maximum": MOST_SEEDS})]
    """So many, counted from 0, or a list; from six on there are intervals that may be cited."""
    tracks: list[Annotated[FileTrack, A_NAME]] = Field(min_length=1)
    """What is held equal between strategies; a table for each."""
    measures: list[Annotated[FileMeasure, A_NAME]]
    """What is measured besides scores."""
    budget: FileBudget = Field(default_factory=FileBudget)
    """What training may cost, the same for every strategy."""
    encoders: dict[str, Annotated[FileEncoder, A_NAME]] = Field(default_factory=dict)
    """By modality or kind of modality; where one is left out, the data set's own."""
    compare_with: list[str] = Field(default_factory=list)
    """Other suites, by name or file, whose order of strategies reports hold against this one's. No part of a key."""
    families: list[FileFamily] = Field(default_factory=list)
    """Rows that reports test pair by pair. No part of a key."""
    keep: Literal["weights"] | None = None
    """weights: those of each run stay beside its record, for measures that are asked for later. No part of a key."""
