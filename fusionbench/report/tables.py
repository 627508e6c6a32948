"""Records to tables: one for each dataset and track, a row for each strategy, everything a reader needs in it.

A run that diverged, failed, was skipped or is missing stays in its row, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from fusionbench.plan.load import load_suite
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import MATCHED_PARAMETERS, Choice, Suite
from fusionbench.records.store import Store
from fusionbench.report.admission import Admission, admission
from fusionbench.report.beside import beside
from fusionbench.report.ceiling import Ceiling, ceiling
from fusionbench.report.collect import name_of, refuse_mixtures
from fusionbench.report.comparisons import Comparison, holds, other_comparison, own_comparisons
from fusionbench.report.differing import differing
from fusionbench.report.latency import Latency, newest_complete
from fusionbench.report.rows import TableRow, rows_of
from fusionbench.report.tested import Tests, good_mean, scored, tests_of
from fusionbench.report.titles import dataset_title, told_apart
from fusionbench.stats.pareto import Point, front

Cost = Literal["latency", "parameters"]


@dataclass(frozen=True)
class Table:
    """Everything about one dataset under one track."""

    suite: str
    dataset: Choice
    name: str
    """The dataset's slug."""
    title: str
    """The dataset as papers write it."""
    track: Choice
    seeds: tuple[int, ...]
    """Planned."""
    metric: str
    """The score that ranks, as records name it; empty where there is no record."""
    rows: tuple[TableRow, ...]
    """Best mean first; strategies without one last, in the suite's order."""
    latency: Latency | None
    forms: Mapping[str, Any] | None = None
    """The newest session over forms of its models; see `forms`."""
    tests: Tests = field(default_factory=Tests)
    """Against references, within families, and what validation would pick."""
    comparisons: tuple[Comparison, ...] = ()
    """Whether the order holds: on other seeds and rows, and in other suites."""

    @property
    def is_begun(self) -> bool:
        """Whether there is more to say of it than that every run is missing."""
        return any(outcome.state != "missing" or outcome.reason for row in self.rows for outcome in row.outcomes)

    @cached_property
    def holds(self) -> bool | None:
        """Whether the order of the twenty best holds in every comparison; None where there is none."""
        return holds(self.comparisons)

    @cached_property
    def admission(self) -> Admission | None:
        """What the data set is evidence of."""
        return admission(self.rows, self.metric)

    @cached_property
    def ceiling(self) -> Ceiling | None:
        """The score that its frozen encoders allow, where that is known."""
        if self.metric != "test/accuracy":
            return None
        return ceiling(self.dataset, (outcome for row in self.rows for outcome in row.outcomes))

    @cached_property
    def beside(self) -> tuple[str, ...]:
        """The scores beside the one that ranks, as far as some row has them."""
        return beside(self.rows, self.metric)

    @property
    def cost(self) -> Cost | None:
        """What the score is weighed against: end-to-end latency, fusion parameters where none was measured.

        None where nothing was measured, or where the track gives every fusion as many parameters.
        """
        if self.latency:
            return "latency"
        return "parameters" if self.track.name != MATCHED_PARAMETERS and any(row.size for row in self.rows) else None

    def cost_of(self, row: TableRow) -> tuple[float, float] | None:
        """Median end-to-end milliseconds at batch 1 (or fusion parameters), and its spread as a fraction."""
        if self.latency:
            timing = self.latency.timings.get((row.strategy, "end_to_end", 1))
            return (timing.median_ms, timing.spread) if timing else None
        return (float(row.size["fusion_parameters"]), 0.0) if row.size else None

    def point(self, row: TableRow) -> Point | None:
        """The row as a trade-off; None without a score, a cost, or any input that it looks at.

        Its scores have their signs turned where lower is better.
        """
        scores, cost = scored(row, self.metric), self.cost_of(row)
        return Point(scores, *cost) if scores and cost and row.comparable and row.uses != "none" else None


def tables(suite: Suite, store: Store) -> Iterator[Table]:
    """The tables of a suite: exactly the runs that it plans, dataset by dataset, track by track, begun or not.

    Raises:
        UserError: results of two versions, of different data, or of different splits would share a table.
    """
    for dataset in suite.datasets:
        for track in suite.tracks:
            table = _table(suite, dataset, track, rows_of(suite, dataset, track, store), store)
            comparisons = (
                *own_comparisons(table.rows, table.metric),
                *_track_comparisons(suite, table, store),
                *_other_comparisons(suite, table, store),
            )
            compared = replace(table, comparisons=comparisons)
            yield replace(compared, rows=tuple(_marked(compared)))


def _table(suite: Suite, dataset: Choice, track: Choice, rows: Sequence[TableRow], store: Store) -> Table:
    records = [outcome.record for row in rows for outcome in row.outcomes if outcome.record]
    refuse_mixtures(str(store.folder(dataset)), records)
    metric = next((record.metric for record in records if "metric" in record.task), "")
    planned = {row.strategy for row in rows}
    latency = newest_complete(store.read_latency(dataset, track), planned, store.set_aside.append)
    ranked = sorted(rows, key=lambda row: (metric not in row.scores, -(good_mean(row, metric) or 0)))
    titles = told_apart([row.title for row in rows])
    named = {row.strategy: title for row, title in zip(rows, titles, strict=True)}
    return Table(
        suite.name,
        dataset,
        name_of("dataset", dataset),
        dataset_title(suite, dataset),
        track,
        suite.seeds_of(track),
        metric,
        tuple(replace(row, title=named[row.strategy]) for row in ranked),
        latency,
        next(reversed(store.read_latency(dataset, track, of_forms=True)), None),
        tests_of(ranked, metric, suite.families),
    )


def _track_comparisons(suite: Suite, table: Table, store: Store) -> Iterator[Comparison]:
    """A table against those of the suite's other tracks of its kind: another target, or another width solved for."""
    for track in suite.tracks:
        if track.name == table.track.name and track != table.track:
            theirs = rows_of(suite, table.dataset, track, store)
            found = other_comparison(suite.name, table.rows, theirs, table.metric, ())
            yield replace(found, between=f"this track and {track_label(track)}", suite="")


def _other_comparisons(suite: Suite, table: Table, store: Store) -> Iterator[Comparison]:
    """A table against those of the suites that the suite names, on the same data under the same track."""
    for name in suite.compare_with:
        other = load_suite(name)
        datasets = [dataset for dataset in other.datasets if dataset.name == table.dataset.name]
        dataset = next((one for one in datasets if one == table.dataset), datasets[0] if len(datasets) == 1 else None)
        tracks = [one for one in other.tracks if one.name == table.track.name]
        track = next((one for one in tracks if one == table.track), tracks[0] if tracks else None)
        if dataset is None or track is None:
            reason = f"{other.name} has no {'such track' if dataset else f'dataset {table.dataset.name}'}"
            yield Comparison(f"this suite and {other.name}", None, reason, suite=other.name)
            continue
        there = Store(store.root.parent, other.name)
        theirs = rows_of(other, dataset, track, there)
        store.set_aside += there.set_aside
        runs = {row.strategy: row.outcomes[0].run for row in theirs if row.uses == "all"}
        pair = next(((row.outcomes[0].run, runs[row.strategy]) for row in table.rows if row.strategy in runs), None)
        seeds = table.seeds, other.seeds_of(track)
        yield other_comparison(other.name, table.rows, theirs, table.metric, differing(*pair, *seeds) if pair else ())


def _marked(table: Table) -> Iterator[TableRow]:
    """The rows with the best, what is tied with it and the front marked.

    The best is that of every family; where none is tested, of all rows. None is where the order was seen not to hold.
    """
    families = [one for one in table.tests.families if one.is_tested]
    means = [mean for row in table.rows if row.comparable and (mean := good_mean(row, table.metric)) is not None]
    points = [table.point(row) for row in table.rows]
    weighed = [row.strategy for row, point in zip(table.rows, points, strict=True) if point]
    marks = iter(front([point for point in points if point], table.tests.differences.of(weighed)))
    for row, point in zip(table.rows, points, strict=True):
        if families:
            best = any(row.strategy in one.best for one in families)
        else:
            best = row.comparable and table.metric in row.scores and good_mean(row, table.metric) == max(means)
        best = best and table.holds is not False
        mark = "" if best else table.tests.mark(row.strategy)
        yield replace(row, best=best, mark=mark, front=next(marks) if point else False)
