"""What a data set is evidence of: what fusing gains over one modality, and seeing them together over adding them up.

All rows here are chosen on validation, so that none is the largest of many test scores. A gain whose interval reaches 0
makes the data set a sanity set: whatever order strategies have on it, it is none of how well they fuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fusionbench.report.contenders import Contender
from fusionbench.report.numbers import difference as signed
from fusionbench.report.numbers import score
from fusionbench.report.tested import scored, told, validated
from fusionbench.stats.estimate import Estimate, difference, estimate
from fusionbench.stats.headline import picked


@dataclass(frozen=True)
class Chosen:
    """A row that stands for a kind of model."""

    role: str
    """Among which it is the one that validation picks; empty for `late`, which is always there."""
    strategy: str
    estimate: Estimate


@dataclass(frozen=True)
class Gain:
    """What one chosen row has over another, paired by seed and test row; above 0 is better, whatever the score."""

    of: str
    strategy: str
    over: str
    estimate: Estimate

    @property
    def is_shown(self) -> bool | None:
        """Whether it lies above 0 with all of its interval; None at one seed, where there is none."""
        return None if self.estimate.low is None else self.estimate.low > 0


@dataclass(frozen=True)
class Admission:
    """The chosen rows of a table and their gains."""

    chosen: tuple[Chosen, ...]
    gains: tuple[Gain, ...]

    @property
    def is_sanity_set(self) -> bool | None:
        """Whether a gain is not shown; None where that is not known."""
        shown = [gain.is_shown for gain in self.gains]
        return True if False in shown else None if None in shown else False


def admission(rows: Iterable[Contender], metric: str) -> Admission | None:
    """Of the comparable rows of a table; None where a single modality, or any fusion, is missing."""
    able = [row for row in rows if row.comparable and any(metric in outcome.scores for outcome in row.outcomes)]
    fusions = [row for row in able if row.uses == "all"]
    single = _best((row for row in able if row.uses == "one"), metric)
    fusion = _best(fusions, metric)
    if single is None or fusion is None:
        return None
    additive = _best((row for row in fusions if row.interaction == "none"), metric)
    interacting = _best((row for row in fusions if row.interaction != "none"), metric)
    late = next((row for row in fusions if row.strategy == "late"), None)
    roles = {
        "single modality": single,
        "fusion": fusion,
        "": late,
        "of those that add modalities up": None if additive is late else additive,
        "of those that see interactions": interacting,
    }
    means = {role: told(estimate(scored(row, metric)), metric) for role, row in roles.items() if row}
    found = [Chosen(role, row.strategy, means[role]) for role, row in roles.items() if row]
    pairs = [("fusing", fusion, single)]
    if additive and interacting:
        pairs.append(("interactions", interacting, additive))
    gains = [_gain(of, row, over, metric) for of, row, over in pairs]
    return Admission(tuple(found), tuple(gain for gain in gains if gain))


def sentences(found: Admission, title: str) -> Iterator[str]:
    """The line that a data set's page begins with.

    Args:
        found: what it is about.
        title: of the score, as the field writes it.
    """
    rows = "; ".join(f"{one.role} `{one.strategy}` {score(one.estimate)}".strip() for one in found.chosen)
    yield f"Admission ({title}; rows that validation picks): {rows}."
    gains = "; ".join(f"of {g.of} (`{g.strategy}` over `{g.over}`) {signed(g.estimate)}" for g in found.gains)
    yield f"Gain {gains}{_kind_of_interval(found)}."
    missing = " and ".join(f"of {gain.of}" for gain in found.gains if gain.is_shown is False)
    if missing:
        yield f"A sanity set: the gain {missing} is not above 0 beyond its interval, so it is no evidence for an order."
    elif found.is_sanity_set is None:
        yield "At one seed there is no interval: whether this is a sanity set is not known."


def _best(rows: Iterable[Contender], metric: str) -> Contender | None:
    """The row that validation would have picked."""
    known = {row.strategy: (mean, row) for row in rows if (mean := validated(row, metric)) is not None}
    return known[picked({name: mean for name, (mean, _) in known.items()})][1] if known else None


def _gain(of: str, row: Contender, over: Contender, metric: str) -> Gain | None:
    a, b = scored(row, metric), scored(over, metric)
    if not a.keys() & b.keys():
        return None
    return Gain(of, row.strategy, over.strategy, difference(a, b))


def _kind_of_interval(found: Admission) -> str:
    estimates = [one.estimate for one in found.chosen]
    if any(one.half_width is None for one in estimates):
        return ""
    rows = "" if any(one.test_error is None for one in estimates) else " and test rows"
    return f" (± half-widths of 95 % intervals over seeds{rows})"
