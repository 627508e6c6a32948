"""Which orders a table's order of strategies is held against: its own on other seeds and rows, and other suites'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fusionbench.report.contenders import Contender, field_of
from fusionbench.stats.order import FEWEST, TOP, Agreement, Order, agreement

RNG_SEED = 20_261_126
"""Of every comparison: the same records, the same bytes."""


@dataclass(frozen=True)
class Comparison:
    """Two orders of the same strategies, and how far they agree."""

    between: str
    """The two, in words: `seeds 0-2 and seeds 3-5`."""
    agreement: Agreement | None
    reason: str = ""
    """Why there is none."""
    sources: str = ""
    """What its interval is about."""
    suite: str = ""
    """The other suite, if one of the orders is another suite's."""
    differing: tuple[str, ...] = ()
    """What differs between the two suites, a phrase each."""

    @property
    def holds(self) -> bool:
        """Whether tau among the twenty best lies above 0 with all of its interval."""
        return self.agreement is not None and self.agreement.top.low > 0


def own_comparisons(rows: Sequence[Contender], metric: str) -> Iterator[Comparison]:
    """A table against itself: on half of its seeds each, on half of its test rows each, on both at once.

    The first two each share what the other one changes: strategies that are equal but for luck would keep their order
    between seeds if the test rows are few, and between rows if the seeds are. The third shares nothing.
    """
    field = field_of(rows, metric)
    n = len(field.seeds)
    if len(field.rows) < FEWEST:
        return
    first, second, every = range(n // 2), range(n // 2, n), range(n)
    early, late = (_named(seeds) for seeds in (field.seeds[: n // 2], field.seeds[n // 2 :]))
    if n > 1:
        yield _compared(f"{early} and {late}", field.order(first, "first "), field.order(second, "second "), n)
    if not field.has_halves:
        yield Comparison("halves of the test rows", None, "these runs have no scores on halves of them")
        return
    yield _compared("halves of the test rows", field.order(every, "", 0), field.order(every, "", 1), n)
    if n > 1:
        a, b = field.order(first, "first ", 0), field.order(second, "second ", 1)
        yield _compared(f"{early} on one half of the test rows and {late} on the other", a, b, n)


def other_comparison(
    suite: str, ours: Sequence[Contender], theirs: Sequence[Contender], metric: str, differing: Sequence[str]
) -> Comparison:
    """A table against that of another suite, over the strategies that both have; not before all of it are begun.

    Args:
        suite: the other one's name.
        ours: rows.
        theirs: rows.
        metric: the score that ranks, of both.
        differing: what differs between the two, a phrase each.
    """
    own, other = field_of(ours, metric), field_of(theirs, metric)
    between, facts = f"this suite and {suite}", tuple(differing)
    shared = set(own.strategies) & set(other.strategies)
    fusions = [row for row in theirs if row.uses == "all"]
    waiting = sum(all(outcome.state == "missing" for outcome in row.outcomes) for row in fusions)
    reason = f"not done there yet: {waiting} of {len(fusions)} strategies" if waiting else ""
    if len(shared) < FEWEST and not waiting:
        reason = f"{len(shared)} strategies are done in both, of at least {FEWEST}"
    if reason:
        return Comparison(between, None, reason, suite=suite, differing=facts)
    a, b = own.of(shared), other.of(shared)
    first, second = (one.order(range(len(one.seeds)), "") for one in (a, b))
    found = _compared(between, first, second, min(len(a.seeds), len(b.seeds)))
    return Comparison(between, found.agreement, found.reason, found.sources, suite, facts)


def holds(comparisons: Sequence[Comparison]) -> bool | None:
    """Whether the order of the best holds in every comparison; None where there is none."""
    found = [one for one in comparisons if one.agreement]
    return all(one.holds for one in found) if found else None


def verdict(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What follows from the comparisons, in a sentence; nothing where there is none."""
    found = [one for one in comparisons if one.agreement]
    if not found:
        return
    most = max(one.agreement.strategies for one in found if one.agreement)
    which = f"The order of the {TOP} best strategies" if most > TOP else f"The order of the {most} fusion strategies"
    failing = [one for one in found if not one.holds]
    if failing:
        yield (
            f"{which} is not seen to hold: tau {'; '.join(map(_stated, failing))} reaches 0, "
            "so no row is called the best."
        )
    else:
        yield f"{which} holds: tau {'; '.join(map(_stated, found))}."


def _stated(one: Comparison) -> str:
    assert one.agreement
    tau = one.agreement.top
    return f"{tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}] between {one.between}"


def _compared(between: str, a: Order, b: Order, seeds: int) -> Comparison:
    known = [name for name, is_known in (("seeds", seeds > 1), ("test rows", a.rows is not None)) if is_known]
    if b.rows is None:
        known = [name for name in known if name != "test rows"]
    if not known:
        return Comparison(between, None, "one seed, and no resamples of the test rows: no interval")
    return Comparison(between, agreement(a, b, np.random.default_rng(RNG_SEED)), sources=" and ".join(known))


def _named(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0-2` for a run of numbers, `seeds 0, 4, 7` for others."""
    is_run = len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    listed = f"{seeds[0]}-{seeds[-1]}" if is_run else ", ".join(map(str, seeds))
    return f"seed {listed}" if len(seeds) == 1 else f"seeds {listed}"
