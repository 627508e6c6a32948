"""Rows of a table that are held against one another: scores seed by seed, on all test rows and on half of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from fusionbench.core.scores import sign
from fusionbench.report.collect import Outcome
from fusionbench.stats.estimate import Estimate, Scored
from fusionbench.stats.order import Floats, Order, residuals_of

Half = Literal[0, 1]
"""The first or the second of the test rows."""


class Contender(Protocol):
    """What a row of a table is asked for here."""

    @property
    def strategy(self) -> str:
        """Its slug."""

    @property
    def interaction(self) -> str:
        """What its class says."""

    @property
    def uses(self) -> str:
        """How many modalities: "all", "one" or "none"."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each planned seed."""

    @property
    def comparable(self) -> bool:
        """Whether it has scores, and no run ended badly."""


class Shown(Contender, Protocol):
    """What it is asked for where it is shown."""

    @property
    def scores(self) -> Mapping[str, Estimate]:
        """Over the done seeds, by the records' names."""


@dataclass(frozen=True)
class Field:
    """Strategies that all have the same seeds."""

    rows: tuple[tuple[str, tuple[Outcome, ...]], ...]
    """Strategy and its outcomes at `seeds`, by name of the strategy: ties fall the same way whatever the scores."""
    seeds: tuple[int, ...]
    metric: str

    @property
    def strategies(self) -> list[str]:
        """Their names."""
        return [strategy for strategy, _ in self.rows]

    def of(self, strategies: Iterable[str]) -> Field:
        """Those strategies alone."""
        wanted = set(strategies)
        return Field(tuple(row for row in self.rows if row[0] in wanted), self.seeds, self.metric)

    @cached_property
    def draw(self) -> str:
        """Of the test rows' resamples; empty unless every run has them, and all are of one draw."""
        draws = {outcome.resamples.draw if outcome.resamples else "" for outcome in self._outcomes()}
        known = all(scored.resamples for row in self._scored for scored in row)
        return draws.pop() if known and len(draws) == 1 else ""

    @cached_property
    def has_halves(self) -> bool:
        """Whether every run has its scores on both halves of the test rows."""
        return all(o.resamples is not None and self.metric in o.resamples.halves for o in self._outcomes())

    def order(self, places: Sequence[int], name: str, half: Half | None = None) -> Order:
        """The order by the mean over some of the seeds, higher is better, with its noise as all seeds show it.

        Args:
            places: of those seeds in `seeds`.
            name: before the names of seeds: orders that share it have the models of a seed in common.
            half: of the test rows; None: all of them.
        """
        scores, chosen = self._scores(half), list(places)
        seeds = tuple(f"{name}{seed}" for seed in self.seeds)
        rows, draw = self._deviations(chosen), self.draw
        if rows is not None and half is not None:
            # Of half the rows the error is larger by sqrt(2), and none that the other half has.
            rows, draw = rows * math.sqrt(2), f"{draw}, half {half}"
        return Order(scores[:, chosen].mean(1), residuals_of(scores), seeds, len(chosen), rows, draw)

    def _outcomes(self) -> Iterable[Outcome]:
        return (outcome for _, outcomes in self.rows for outcome in outcomes)

    @cached_property
    def _scored(self) -> list[list[Scored]]:
        return [[outcome.good(self.metric) for outcome in outcomes] for _, outcomes in self.rows]

    def _scores(self, half: Half | None) -> Floats:
        """Of shape (K, seeds)."""
        if half is None:
            return np.array([[one.score for one in row] for row in self._scored])
        found = [[o.resamples.halves[self.metric][half] for o in row if o.resamples] for _, row in self.rows]
        return sign(self.metric) * np.array(found)

    def _deviations(self, places: Sequence[int]) -> Floats | None:
        """(K, R), of the mean over some seeds on resampled test rows; None where they are not known."""
        if not self.draw:
            return None
        found = np.array([[row[place].resamples for place in places] for row in self._scored]).mean(1)
        return np.asarray(found - found.mean(1, keepdims=True))


def field_of(rows: Iterable[Contender], metric: str) -> Field:
    """The fusion strategies at the seeds that most of them have, without those that lack one of these seeds.

    Not single modalities, nor chance: whatever the order, it has them last.
    """
    fusions = {row.strategy: row.outcomes for row in rows if row.uses == "all" and row.comparable}
    done = {name: {o.run.seed: o for o in found if metric in o.scores} for name, found in fusions.items()}
    counts = Counter(seed for found in done.values() for seed in found)
    most = max(counts.values(), default=0)
    seeds = tuple(sorted(seed for seed, count in counts.items() if 2 * count >= most))
    whole = {name: found for name, found in done.items() if all(seed in found for seed in seeds)}
    return Field(
        tuple((name, tuple(whole[name][seed] for seed in seeds)) for name in sorted(whole)) if seeds else (),
        seeds,
        metric,
    )
