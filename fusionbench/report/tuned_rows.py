"""What the track `tuned` found on a data set: every strategy by default and tuned, and all points tried for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from fusionbench.core.scores import good, lower_is_better
from fusionbench.plan.suite import SAME_ENCODERS, TUNED, Choice, Row, RunSpec, Suite
from fusionbench.plan.tracks import has_trials
from fusionbench.plan.tuned import Point, points, trials_at
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.report.collect import Outcome, facts_of, name_of, outcomes
from fusionbench.report.comparisons import Comparison, other_comparison
from fusionbench.report.rows import INTERACTION, USES
from fusionbench.report.titles import dataset_title, strategy_title
from fusionbench.stats.best_of import BestOf, best_of
from fusionbench.stats.estimate import Estimate, Scored, difference, estimate
from fusionbench.stats.refusals import refuse_mixture


@dataclass(frozen=True)
class Tried:
    """One point of a search."""

    point: Point
    trials: tuple[tuple[RunSpec, Record | None], ...]
    """One for each trial seed; None: not done yet."""

    @property
    def is_over(self) -> bool:
        """Whether every trial has a record."""
        return all(record is not None for _, record in self.trials)

    @property
    def score(self) -> float | None:
        """Mean over trial seeds on validation; None where a trial did not end well, as such a point cannot win."""
        found = [record.score for _, record in self.trials if record and record.status == "done"]
        known = [score for score in found if score is not None]
        return fmean(known) if len(known) == len(self.trials) else None


@dataclass(frozen=True)
class Way:
    """A strategy as one track trains it."""

    strategy: str
    interaction: str
    uses: str
    outcomes: tuple[Outcome, ...]

    @property
    def comparable(self) -> bool:
        """Done without a run that ended badly."""
        states = [outcome.state for outcome in self.outcomes]
        return "done" in states and set(states) <= {"done", "missing"}

    def scored(self, metric: str) -> Mapping[int, Scored]:
        """Test scores by seed."""
        return {o.run.seed: o.scored(metric) for o in self.outcomes if metric in o.scores}

    def good(self, metric: str) -> Mapping[int, Scored]:
        """The same with signs turned where lower is better."""
        return {o.run.seed: o.good(metric) for o in self.outcomes if metric in o.scores}


@dataclass(frozen=True)
class TunedRow:
    """One strategy both ways."""

    strategy: str
    """Its slug."""
    default: Way | None
    """None where the suite does not have it under `same_encoders`."""
    tuned: Way
    tried: tuple[Tried, ...]
    """Empty where there is nothing to tune."""
    metric: str
    """The test score that ranks."""
    title: str = ""
    """The strategy as papers write it."""

    def mean(self, way: Way | None) -> Estimate | None:
        """Of the test score, for seeds and test rows; None where nothing is done."""
        found = way.scored(self.metric) if way else {}
        return estimate(found) if found else None

    @property
    def gain(self) -> Estimate | None:
        """Tuned less default, paired, above 0 where tuned is better, whatever the score.

        None where one of the two is not there, not comparable, or nothing is tuned.
        """
        if not self.tried or self.default is None or not (self.default.comparable and self.tuned.comparable):
            return None
        ours, theirs = self.tuned.good(self.metric), self.default.good(self.metric)
        return difference(ours, theirs) if ours.keys() & theirs.keys() else None

    def seed_spread(self, way: Way | None) -> float | None:
        """Standard deviation of the test score over seeds; None below two."""
        found = [one.score for one in way.scored(self.metric).values()] if way else []
        return stdev(found) if len(found) > 1 else None

    @cached_property
    def search(self) -> tuple[BestOf, ...]:
        """The best of 1, 2, ... points; empty before all are tried, and where none ended well.

        A point that did not end well counts as tried, with the worst score of those that did.
        """
        found = [None if one.score is None else good(self.metric, one.score) for one in self.tried]
        known = [score for score in found if score is not None]
        if not known or not all(one.is_over for one in self.tried):
            return ()
        search = best_of([min(known) if score is None else score for score in found])
        return tuple(one.turned() for one in search) if lower_is_better(self.metric) else search

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What the winner trains with, as records of its final runs state it; empty before one is done."""
        found = (o.record.options for o in self.tuned.outcomes if o.record and o.record.options.get("tuning"))
        return next(found, {})


@dataclass(frozen=True)
class Tuning:
    """A data set under the track."""

    suite: str
    dataset: Choice
    name: str
    """The data set's slug."""
    title: str
    """The data set as papers write it."""
    track: Choice
    seeds: tuple[int, ...]
    """Of the final runs."""
    metric: str
    """The score that ranks, as records name it; empty where there is no record."""
    rows: tuple[TunedRow, ...]
    """Best tuned mean first."""
    default: Choice | None
    """The track `same_encoders`; None: the suite does not have it."""
    order: Comparison | None
    """Of the fusion strategies, by default and tuned; None where there is nothing to compare."""

    @property
    def is_begun(self) -> bool:
        """Whether a trial or a tuned run has a record."""
        trials = (record for row in self.rows for one in row.tried for _, record in one.trials)
        final = (outcome.record for row in self.rows for outcome in row.tuned.outcomes)
        return any(record is not None for record in (*trials, *final))


def tunings(suite: Suite, store: Store) -> Iterator[Tuning]:
    """What was found on each data set; nothing where the suite tunes nothing.

    Raises:
        UserError: what was tuned was trained on other data than what was not.
    """
    track = next((one for one in suite.tracks if one.name == TUNED), None)
    default = next((one for one in suite.tracks if one.name == SAME_ENCODERS), None)
    for dataset in suite.datasets if track else ():
        assert track is not None
        rows = [row for row in suite.rows if row.dataset == dataset]
        plain = {name_of("strategy", row.strategy): row for row in rows if row.track == default}
        found = [
            _row(suite, row, plain.get(name_of("strategy", row.strategy)), store) for row in rows if row.track == track
        ]
        _refuse_mixtures(str(store.folder(dataset)), found)
        metric = next((row.metric for row in found if row.metric), "")
        yield Tuning(
            suite.name,
            dataset,
            name_of("dataset", dataset),
            dataset_title(suite, dataset),
            track,
            suite.seeds_of(track),
            metric,
            _ranked(found),
            default,
            _order(found, metric),
        )


def _row(suite: Suite, row: Row, plain: Row | None, store: Store) -> TunedRow:
    tuned, default = _way(suite, row, store), _way(suite, plain, store) if plain else None
    final = tuned.outcomes[0].run
    tried = [
        Tried(point, tuple((trial, store.read(trial)) for trial in trials_at(final, point)))
        for point in (points(final) if has_trials(final) else ())
    ]
    records = _records(tuned, *([default] if default else []))
    metric = next((record.metric for record in records if "metric" in record.task), "")
    return TunedRow(tuned.strategy, default, tuned, tuple(tried), metric, strategy_title(row.strategy))


def _way(suite: Suite, row: Row, store: Store) -> Way:
    facts, name = facts_of(row.strategy), name_of("strategy", row.strategy)
    interaction, uses = str(facts.get("interaction", INTERACTION if facts else "")), str(facts.get("uses", USES))
    return Way(name, interaction, uses, outcomes(suite, row, store))


def _records(*ways: Way) -> list[Record]:
    return [outcome.record for way in ways for outcome in way.outcomes if outcome.record]


def _ranked(rows: Iterable[TunedRow]) -> tuple[TunedRow, ...]:
    means = [(row, row.mean(row.tuned)) for row in rows]
    ordered = sorted(means, key=lambda pair: (pair[1] is None, -good(pair[0].metric, pair[1].mean) if pair[1] else 0.0))
    return tuple(row for row, _ in ordered)


def _order(rows: Iterable[TunedRow], metric: str) -> Comparison | None:
    """Kendall's tau between the two orders."""
    both = [(row.default, row.tuned) for row in rows if row.default is not None]
    if not both or not metric:
        return None
    found = other_comparison("", [default for default, _ in both], [tuned for _, tuned in both], metric, ())
    return replace(found, between="default and tuned")


def _refuse_mixtures(where: str, rows: Iterable[TunedRow]) -> None:
    """Within a track, tables look for them already."""
    records = [record for row in rows for record in _records(row.tuned, *([row.default] if row.default else []))]
    refuse_mixture(where, "data fingerprint", (record.data.fingerprint[:12] for record in records if record.data))
