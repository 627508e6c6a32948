"""The plan's words: a suite, and the runs that it stands for. Field names are a contract: records hold them.

A run's key is 12 hex digits of the SHA-256 of the canonical JSON of its RunSpec, with every default filled in, and the
content of a file that an option names in the place of its path. Keys last: a field that is added here later names the
value that means "as before" in LATER, and is left out of the JSON at that value, as an option is that a plug-in's
`later` names (catalogue.with_later). A default that changes does change the key. What decides no result (title,
measures, what is kept, which engine) is no part of a RunSpec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Literal

from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import describe
from fusionbench.core.plugin_names import portable
from fusionbench.plan.budget import Budget, Precision, Pretraining, TrainedOn, without
from fusionbench.plan.family import Family

__all__ = [
    "MATCHED_PARAMETERS", "SAME_ENCODERS", "TUNED", "Budget", "Choice", "Family", "Precision", "Pretraining", "Role",
    "Row", "RunSpec", "Suite", "TrainedOn", "on_half",
]  # fmt: skip

Role = Literal["final", "trial"]
SAME_ENCODERS, MATCHED_PARAMETERS, TUNED = "same_encoders", "matched_parameters", "tuned"
"""The tracks; see tracks.py."""


@dataclass(frozen=True)
class Choice:
    """A plug-in and its options; in a planned run all of its options, defaults filled in."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    """SHA-256 of the file of a user's own plug-in; empty for a shipped one, whose version is in the record."""
    pretrain: Pretraining | None = None
    """Of an encoder: it is trained first under this budget, on its modality's own labels or else the task's, and
    frozen."""
    version: int = 1
    """The plug-in's own: raised when its file alone changes its numbers, so that only its runs are made anew."""
    files: dict[str, str] = field(default_factory=dict)
    """By option that names a file: the SHA-256 of its content."""
    metric: str = ""
    """Of a dataset: the score that ranks, picks epochs and trials, in the place of its own; empty: its own."""
    train_missing: dict[str, float] = field(default_factory=dict)
    """Of a dataset: by modality, the share of training rows that lack it; fixed by seed and row."""

    def to_json(self) -> dict[str, Any]:
        """Name and options; all else only where it says something."""
        return {"name": self.name, "options": self.options, **self._own}

    @cached_property
    def _own(self) -> dict[str, Any]:
        """Made once: all runs of a row share their choices."""
        first = self.pretrain.to_json() if self.pretrain else None
        own = {"source": self.source, "pretrain": first, "version": self.version, "files": self.files}
        own |= {"metric": self.metric, "train_missing": self.train_missing}
        usual: dict[str, Any] = {"source": "", "pretrain": None, "version": 1, "files": {}, "metric": ""}
        return {"name": self.name, "options": self.options, **without(own, {**usual, "train_missing": {}})}

    def decisive(self) -> dict[str, Any]:
        """The JSON without what decides no result: where a file lies."""
        plain = {**self.to_json(), "name": portable(self.name)}
        if not self.files:
            return plain
        return plain | {"options": {name: value for name, value in self.options.items() if name not in self.files}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Choice:
        """The inverse of `to_json`."""
        first = {"pretrain": Pretraining(**value["pretrain"])} if "pretrain" in value else {}
        return cls(**{**value, **first})

    @property
    def unranked(self) -> Choice:
        """Of a dataset: the data alone, whatever score ranks on them."""
        return replace(self, metric="")

    @property
    def bare(self) -> Choice:
        """Of a dataset: the data alone, whatever is missing in training: what frozen encoders give is the same."""
        return replace(self, metric="", train_missing={})

    @property
    def is_frozen(self) -> bool:
        """Of an encoder: whether no run trains it, as it was trained beforehand or has nothing to train."""
        return self.pretrain is not None or describe("encoder", self.name).facts.get("frozen", False) is True


@dataclass(frozen=True)
class RunSpec:
    """One run: all that decides its result, and nothing else."""

    dataset: Choice
    strategy: Choice
    encoders: dict[str, Choice]
    """By modality; only those that the strategy uses."""
    seed: int
    track: Choice
    budget: Budget
    role: Role = "final"
    other_half: bool = False
    """Whether it has a half of the training rows although no encoder of its own was trained on the other: some encoder
    of its neighbours in the table was, and all train on the same rows."""
    space: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of the strategy that trials of a final run choose, and from where; see tuned.py."""

    LATER: ClassVar[dict[str, Any]] = {"other_half": False, "space": {}}

    def to_json(self) -> dict[str, Any]:
        """All of it, as a record states it."""
        return self._json(Choice.to_json)

    def decisive(self) -> dict[str, Any]:
        """The JSON whose canonical form makes the key."""
        return self._json(Choice.decisive)

    def _json(self, of: Callable[[Choice], dict[str, Any]]) -> dict[str, Any]:
        return {
            "dataset": of(self.dataset),
            "strategy": of(self.strategy),
            "encoders": {name: of(choice) for name, choice in self.encoders.items()},
            "seed": self.seed,
            "track": of(self.track),
            "budget": self.budget.to_json(),
            "role": self.role,
            **without({"other_half": self.other_half, "space": self.space}, self.LATER),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunSpec:
        """The inverse of `to_json`."""
        return cls(
            dataset=Choice.from_json(value["dataset"]),
            strategy=Choice.from_json(value["strategy"]),
            encoders={name: Choice.from_json(choice) for name, choice in value["encoders"].items()},
            seed=value["seed"],
            track=Choice.from_json(value["track"]),
            budget=Budget(**value["budget"]),
            role=value["role"],
            other_half=value.get("other_half", False),
            space=value.get("space", {}),
        )

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The modalities whose encoders are trained beforehand."""
        return tuple(name for name, choice in self.encoders.items() if choice.pretrain)

    @property
    def is_frozen(self) -> bool:
        """Whether no encoder is trained in it: training rows are then seen as validation rows are."""
        return all(choice.is_frozen for choice in self.encoders.values())

    @property
    def trains_on_other_half(self) -> bool:
        """Whether an encoder was trained on a half of the training rows, so that the run has the other half."""
        return self.other_half or on_half(self.encoders)

    @cached_property
    def key(self) -> str:
        """12 hex digits: the run's name everywhere."""
        return short_key(self.decisive())


@dataclass(frozen=True)
class Row:
    """One strategy on one dataset under one track, over all seeds: a row of a table."""

    dataset: Choice
    strategy: Choice
    encoders: dict[str, Choice]
    track: Choice
    other_half: bool = False
    space: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Both as in RunSpec."""


@dataclass(frozen=True)
class Suite:
    """Everything that one suite file asks for, checked, with every default filled in."""

    name: str
    datasets: tuple[Choice, ...]
    rows: tuple[Row, ...]
    """dataset by dataset, strategies in the file's order; `unimodal` is a row per modality."""
    seeds: tuple[int, ...]
    tracks: tuple[Choice, ...]
    budget: Budget
    measures: tuple[Choice, ...]
    fewer: tuple[tuple[Choice, tuple[int, ...]], ...] = ()
    """Tracks that have some of the seeds only, and which: what a seed decides, and a key, are the same with all."""
    compare_with: tuple[str, ...] = ()
    """Other suites, by name or file, whose order of strategies a report holds against this one's; decides no run."""
    families: tuple[Family, ...] = ()
    """Rows that a report tests pair by pair; decides no run."""
    titles: tuple[tuple[Choice, str], ...] = ()
    """Data sets that have a title of the suite's own, for tables and pictures; decides no run."""
    keep: str = ""
    """`weights`: those of each final run stay beside its record, for measures that are asked for later."""
    time_limit: float = 0.0
    """Seconds that a run may take, all it does together; 0: no limit. Moves no score, so it is in no key."""

    def seeds_of(self, track: Choice) -> tuple[int, ...]:
        """The seeds of a track, in the suite's order."""
        some = next((found for known, found in self.fewer if known == track), self.seeds)
        return tuple(seed for seed in self.seeds if seed in some)

    def title_of(self, dataset: Choice) -> str:
        """How the suite itself calls a data set; empty where it does not say."""
        return next((title for known, title in self.titles if known == dataset), "")

    def runs(self) -> Iterator[RunSpec]:
        """Seeds outermost, so that a suite stopped early is still comparable."""
        planned = [(row, self.seeds_of(row.track)) for row in self.rows]
        for seed, (row, seeds) in product(self.seeds, planned):
            if seed in seeds:
                yield self.run_of(row, seed)

    def run_of(self, row: Row, seed: int) -> RunSpec:
        """The run of a row at a seed: the same one each time, so that its key is hashed once."""
        known = self._made.get((id(row), seed))
        if known is None or known[0] is not row:
            parts = row.dataset, row.strategy, row.encoders, seed, row.track, self.budget
            known = row, RunSpec(*parts, other_half=row.other_half, space=row.space)
            self._made[id(row), seed] = known
        return known[1]

    @cached_property
    def _made(self) -> dict[tuple[int, int], tuple[Row, RunSpec]]:
        """By a row's identity; the row too, since another one may have its identity once it is gone."""
        return {}

    def measure(self, name: str) -> Choice | None:
        """The measure of that name, if the suite asks for it."""
        return next((choice for choice in self.measures if choice.name == name), None)


def on_half(encoders: Mapping[str, Choice]) -> bool:
    """Whether one of them is trained beforehand on a half of the training rows."""
    return any(choice.pretrain and choice.pretrain.rows == "half" for choice in encoders.values())
