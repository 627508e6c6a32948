"""One family of a table: all pairs of a few strategies that a suite names, and which of them are tied with the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import nctdtrinc

from fusionbench.stats.block import block
from fusionbench.stats.estimate import Floats, Scored, rows_of
from fusionbench.stats.paired import paired, rows_known
from fusionbench.stats.pairs import Tested, all_pairs, holm_p, is_by_itself, tukey_p

Method = Literal["tukey", "holm"]
POWER = 0.80
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Family:
    """Strategies of one table, all held against one another."""

    name: str
    strategies: tuple[str, ...]
    """That are tested, best mean first; fewer than two where nothing can be."""
    seeds: tuple[int, ...]
    """That the tests have."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Strategies that no pair is tested of, and why."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Those that cannot be trained on these data at all, and why: no rows of the family here."""
    method: Method = "tukey"
    """What was used: Tukey, or Holm over paired t tests where spreads differ."""
    unlike: float = 1.0
    """p of the Brown-Forsythe test of equal spreads."""
    has_rows: bool = False
    """Whether the error of the test rows is in it."""
    mean: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """(K, K), in the order of `strategies`: first less second."""
    half_width: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Of intervals that hold all differences at once in 95 of 100 tables."""
    p: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Corrected for all pairs."""
    differ: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """1 where two differ."""
    detectable: float | None = None
    """The smallest true difference of two of them that a table like this one shows with 80 % power."""

    @property
    def members(self) -> tuple[str, ...]:
        """All of its rows: those that are tested, and those that are not; none that is skipped."""
        return (*self.strategies, *self.left_out)

    @property
    def is_tested(self) -> bool:
        """Whether there is a pair that could be tested."""
        return len(self.strategies) > 1

    @property
    def best(self) -> tuple[str, ...]:
        """The highest mean; several where they are equal. Empty where nothing is tested."""
        return tuple(name for name, away in zip(self.strategies, self.mean[:1].ravel(), strict=False) if away == 0)

    @property
    def tied(self) -> tuple[str, ...]:
        """Those that do not differ from the best, itself among them. Empty where nothing is tested."""
        return tuple(name for name, other in zip(self.strategies, self.differ[:1].ravel(), strict=False) if not other)


def family(
    name: str,
    rows: Mapping[str, Mapping[int, Scored]],
    copies: Mapping[str, str],
    left_out: Mapping[str, str],
    skipped: Mapping[str, str] = NONE,
) -> Family:
    """All pairs of these strategies.

    Args:
        name: of the family.
        rows: scores by strategy and seed, of those that ended well.
        copies: strategies that are another one but for gradients, and which: counted once.
        left_out: strategies that did not end well, and why they are not among `rows`.
        skipped: strategies that cannot be trained here, and why.
    """
    once, copied = counted_once(tuple(rows), copies)
    strategies, seeds = block({row: rows[row].keys() for row in once})
    out = dict(left_out) | copied | {row: "not all seeds are done" for row in once if row not in strategies}
    if len(strategies) < 2 or len(seeds) < 2:
        few = "only one seed" if len(seeds) == 1 else "no other strategy to hold it against"
        return Family(name, (), seeds, dict.fromkeys(strategies, few) | out, skipped)
    ordered = sorted(strategies, key=lambda row: -float(np.mean([rows[row][seed].score for seed in seeds])))
    scored = [[rows[row][seed] for seed in seeds] for row in ordered]
    scores = np.array([[one.score for one in row] for row in scored])
    every = [one for row in scored for one in row]
    known = rows_known(every)
    pairs = paired(scores, np.array([rows_of(row) for row in scored]) if known else None, min(o.units for o in every))
    tested, unlike = all_pairs(scores, pairs)
    method: Method = "holm" if is_by_itself(unlike, len(ordered)) else "tukey"
    p = holm_p(pairs) if method == "holm" else tukey_p(tested)
    differ = tested.differ.astype(np.float64)
    numbers = (pairs.mean, tested.half_width, p, differ, detectable(tested))
    return Family(name, tuple(ordered), seeds, out, skipped, method, float(unlike), known, *numbers)


def counted_once(rows: tuple[str, ...], copies: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The rows without near-copies of one another, and what each of these counts as.

    Of strategies that are one model but for gradients the model itself stays, else the first that is named: their luck
    is the same, and pairs of them would make everybody's error look small.
    """
    chosen: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row in copies):  # The model itself before its copies.
        chosen.setdefault(copies.get(row, row), row)
    kept = set(chosen.values())
    return tuple(row for row in rows if row in kept), {
        row: f"counted once with {chosen[copies[row]]}: one model but for gradients" for row in rows if row not in kept
    }


def detectable(tested: Tested) -> float | None:
    """The smallest true difference that is found with 80 % power where it is the first that is tested.

    nc * error, such that P(T > needed) = .8 for T noncentral t with nc; the median over pairs. The other tail adds less
    than 1e-6 and is left out. None where there is no error.
    """
    i, j = np.triu_indices(tested.mean.shape[-1], 1)
    error, degrees, needed = (float(np.median(found[i, j])) for found in (tested.error, tested.degrees, tested.needed))
    return float(nctdtrinc(degrees, 1 - POWER, needed)) * error if error > 0 else None
