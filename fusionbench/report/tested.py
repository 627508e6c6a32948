"""What a table is tested for: against its references, pair by pair within families, and what validation would pick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from fusionbench.core.scores import sign
from fusionbench.plan.family import Family as Named
from fusionbench.report.collect import Outcome, facts_of
from fusionbench.report.contenders import Contender, Shown
from fusionbench.stats.estimate import Estimate, Scored
from fusionbench.stats.families import Family, family
from fusionbench.stats.headline import Headline, headline, picked
from fusionbench.stats.paired import Matrix, matrix
from fusionbench.stats.references import Against, against

SIGNS = "†‡§¶"
"""Of a table's families, in their order."""
BEST_SINGLE, LATE = "best single modality on validation", "the baseline that adds modalities up"
"""The references, named before anything is run."""


@dataclass(frozen=True)
class Tests:
    """Of one table; empty where nothing is done."""

    headline: Headline | None = None
    references: tuple[Against, ...] = ()
    families: tuple[Family, ...] = ()
    differences: Matrix = field(default_factory=lambda: matrix({}))
    """Of all rows with scores, those that did not end well too."""

    def family_of(self, strategy: str) -> Family | None:
        """The family that tests a row."""
        return next((one for one in self.families if strategy in one.strategies), None)

    def sign(self, found: Family) -> str:
        """What marks rows that are not told apart from the best of that family."""
        times, which = divmod([one.name for one in self.families].index(found.name), len(SIGNS))
        return SIGNS[which] * (times + 1)

    def mark(self, strategy: str) -> str:
        """The sign of a row that is not told apart from the best of its family, or is that; else empty."""
        return next((self.sign(one) for one in self.families if strategy in one.tied), "")


def tests_of(rows: Sequence[Contender], metric: str, named: Iterable[Named]) -> Tests:
    """The tests of a table's rows.

    Args:
        rows: best mean first.
        metric: the score that ranks.
        named: the suite's families.
    """
    by_row = {row.strategy: scored(row, metric) for row in rows if any(metric in o.scores for o in row.outcomes)}
    able = {row.strategy: row for row in rows if row.strategy in by_row and row.comparable}
    seen = {name: row for name, row in able.items() if row.uses != "none"}
    validation = {name: mean for name, row in seen.items() if (mean := validated(row, metric)) is not None}
    differences = matrix(by_row)
    fusions = {name for name, row in able.items() if row.uses == "all"}
    return Tests(
        headline({name: by_row[name] for name in seen}, validation),
        tuple(against(role, row, differences, able, fusions) for role, row in _references(able, validation)),
        tuple(_family(one, rows, by_row) for one in named),
        differences,
    )


def heading(found: Against) -> str:
    """What a reference's column is called."""
    return "over late" if found.role == LATE else "over best single"


def scored(row: Contender, metric: str) -> Mapping[int, Scored]:
    """Its scores by seed, with signs turned where lower is better: all that is tested takes higher for better."""
    return {o.run.seed: o.good(metric) for o in row.outcomes if metric in o.scores}


def good_mean(row: Shown, metric: str) -> float | None:
    """Its mean, its sign as in `scored`."""
    return sign(metric) * row.scores[metric].mean if metric in row.scores else None


def told(found: Estimate, metric: str) -> Estimate:
    """A mean of what `scored` gives as readers know the score; not for differences, where + is better."""
    return replace(found, mean=sign(metric) * found.mean)


def validated(row: Contender, metric: str) -> float | None:
    """Its mean on validation, by the score that ranks, its sign as in `scored`."""
    name = metric.replace("test/", "validation/", 1)
    records = [outcome.record for outcome in row.outcomes if metric in outcome.scores]
    found = [record.validation[name] for record in records if record and name in record.validation]
    return sign(metric) * fmean(found) if found else None


def _references(able: Mapping[str, Contender], validation: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Role and row of each; of several kinds of late fusion the one that validation picks."""
    kinds = (
        (BEST_SINGLE, [name for name, row in able.items() if row.uses == "one"]),
        (LATE, [name for name, row in able.items() if row.outcomes[0].run.strategy.name == "late"]),
    )
    for role, names in kinds:
        known = {name: validation[name] for name in names if name in validation}
        if known or len(names) == 1:
            yield role, picked(known) if known else names[0]


def _family(named: Named, rows: Sequence[Contender], by_row: Mapping[str, Mapping[int, Scored]]) -> Family:
    choices = {row.strategy: row.outcomes[0].run.strategy for row in rows}
    members = [row for row in rows if named.has(choices[row.strategy].name, row.strategy)]
    whole = {row.strategy: by_row[row.strategy] for row in members if row.comparable and row.strategy in by_row}
    copies = {name: str(facts_of(choices[name]).get("copy_of", "")) for name in whole}
    skipped = {row.strategy: why for row in members if (why := _skipped(row.outcomes)) is not None}
    others = [row for row in members if row.strategy not in whole and row.strategy not in skipped]
    out = {row.strategy: _reason(row.outcomes) for row in others}
    return family(named.name, whole, {name: original for name, original in copies.items() if original}, out, skipped)


def _skipped(outcomes: Sequence[Outcome]) -> str | None:
    """Why a row was skipped at every seed that is over; None where some seed was trained, or none is over."""
    states = {outcome.state for outcome in outcomes}
    if "skipped" not in states or not states <= {"skipped", "missing"}:
        return None
    return next(outcome.reason for outcome in outcomes if outcome.state == "skipped")


def _reason(outcomes: Sequence[Outcome]) -> str:
    states = [outcome.state for outcome in outcomes]
    bad = [state for state in ("diverged", "failed", "skipped") if state in states]
    if not bad:
        return "not done"
    count = states.count(bad[0])
    return bad[0] if count == len(states) else f"{count} of {len(states)} seeds {bad[0]}"
