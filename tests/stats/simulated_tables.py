"""Tables made up with a known truth, thousands at a time, and how often the tests of a table err on them.

    y[k, s, i] = mean_k + u_s + c_i + spread_k (a_ks + b_ki + e_ksi)     strategy k at seed s on test row i

u and c are what all strategies share at a seed and on a row; `parts` of the variance of a mean over n seeds are of a, b
and e. What is tested sees of y what a table has: scores at seeds, and the same on resampled test rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.stats.estimate import Floats, Variances, half_width, row_degrees
from fusionbench.stats.families import counted_once
from fusionbench.stats.holm import holm
from fusionbench.stats.paired import Paired, paired
from fusionbench.stats.pairs import LEVEL, Tested, all_pairs, blocked_residuals, each_by_itself, tukey
from fusionbench.stats.studentized import critical

Shares = NDArray[Any]
"""Of tables, (tables,): whether something holds in each, or how often."""

COUNT, ROWS, RESAMPLES, AT_ONCE = 12, 80, 400, 100
SHIFT = 3.6
"""Of the strategy that truly differs, in errors of a difference: what decides is seen to decide."""
COLUMNS = (
    "scenario", "seeds", "tables",
    "cells",  # How often the interval of a strategy's mean holds its truth.
    "differences",  # Of the paired difference of two.
    "added",  # Likewise, if the errors of seeds and rows were added.
    "added_width",  # How many times as wide those intervals are.
    "headline",  # Of the row that validation picks.
    "error",  # How often a family of equal strategies has a false find.
    "references",  # A table of equal rows, against a reference.
    "ties",  # How often a strategy is tied with itself under another name.
    "error_copies_apart",  # Of plain Tukey, where near-copies are not counted once.
    "unlike",  # How often spreads are found to differ.
    "error_larger", "error_tukey", "error_holm", "error_games_howell",  # Of one way alone, whatever spreads are.
    "power", "power_larger", "power_tukey", "power_holm",  # How often a strategy that truly differs is found.
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What is true of a table."""

    name: str
    spreads: tuple[float, ...] = (1.0,) * COUNT
    parts: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Of seeds, of rows, and of both together."""
    kind: str = ""
    """What else it is: "copies", "accuracy", "diverged", "twice" or "references"."""


ONE, HALF = (3.0, *(1.0,) * (COUNT - 1)), (2.0,) * (COUNT // 2) + (1.0,) * (COUNT // 2)
RISING = tuple(np.linspace(1, 3, COUNT).tolist())
ALL = (1.0, 1.0, 1.0)
SCENARIOS = (
    Scenario("equal spreads; error of seeds alone"),
    Scenario("equal spreads; seeds, rows, both together", parts=ALL),
    Scenario("equal spreads; test rows most", parts=(0.5, 2.0, 0.5)),
    Scenario("equal spreads; rows and seeds together most", parts=(0.1, 0.1, 1.0)),
    Scenario("one of three times the spread; seeds alone", ONE),
    Scenario("one of three times the spread; all parts", ONE, parts=ALL),
    Scenario("one of five times the spread; seeds alone", (5.0, *ONE[1:])),
    Scenario("half of twice the spread; seeds alone", HALF),
    Scenario("spreads from one to three; seeds alone", RISING),
    Scenario("spreads from one to three; all parts", RISING, parts=ALL),
    Scenario("six near-copies among twelve; seeds alone", kind="copies"),
    Scenario("ties: right or wrong on 80 rows", kind="accuracy", parts=ALL),
    Scenario("one row with a diverged seed; all parts", kind="diverged", parts=ALL),
    Scenario("one strategy twice, ten others; all parts", kind="twice", parts=ALL),
    Scenario("24 rows against references; all parts", (1.0,) * 24, kind="references", parts=ALL),
)


@dataclass(frozen=True)
class Drawn:
    """Tables of one scenario."""

    scores: Floats
    """(tables, K, n)."""
    rows: Floats | None
    """(tables, K, n, R)."""
    validation: Floats
    """(tables, K): means on validation, which have half of their variance in common with the seeds' part of a test."""
    truth: Floats
    """(K,)."""


def figures(scenario: Scenario, n: int, count: int, start: int = 0) -> dict[str, float | str]:
    """How often intervals hold the truth and tests err, over `count` tables: a number for each of COLUMNS it has."""
    rng = np.random.default_rng([start, n, SCENARIOS.index(scenario)])
    sums: dict[str, float] = {}
    for first in range(0, count, AT_ONCE):
        found = _figures(scenario, _drawn(scenario, n, min(AT_ONCE, count - first), rng))
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value.sum())
    shares = {name: round(value / count, 4) for name, value in sums.items()}
    return {"scenario": scenario.name, "seeds": n, "tables": count, **shares}


def _drawn(scenario: Scenario, n: int, count: int, rng: np.random.Generator) -> Drawn:
    spreads = np.array(scenario.spreads)[:, None, None]
    of_seeds, of_rows, of_both = scenario.parts
    k = len(spreads)
    seeds = rng.normal(size=(count, k, n, 1))
    if scenario.kind == "copies":  # The last six are one model: what a seed does to one, it does to all, nearly.
        seeds[:, -5:] = seeds[:, -6:-5] + 0.1 * seeds[:, -5:]
    shared = rng.normal(size=(count, 1, n, 1)) * 3
    y = shared + spreads * np.sqrt(of_seeds) * seeds
    truth = np.zeros(k)
    if scenario.kind == "twice":
        truth = np.array([*np.linspace(0, 40, k - 2), 15.0, 15.0]) / np.sqrt(n)
        y = y + truth[:, None, None]
    validation = seeds.mean((-2, -1)) + rng.normal(size=(count, k)) / np.sqrt(n)
    if not (of_rows or of_both):
        return Drawn(y[..., 0], None, validation, truth)
    y = y + spreads * np.sqrt(of_rows * ROWS / n) * rng.normal(size=(count, k, 1, ROWS))
    y = y + spreads * np.sqrt(of_both * ROWS) * rng.normal(size=(count, k, n, ROWS))
    y = y + np.sqrt(3 * ROWS / n) * rng.normal(size=(count, 1, 1, ROWS))
    if scenario.kind == "accuracy":  # About one row in eight is wrong.
        y = (y > -1.2 * y.std()).astype(np.float64)
        truth = np.full(k, np.nan)  # Equal for all, and not known.
    weights = rng.multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=RESAMPLES) / ROWS
    drawn = y.astype(np.float32) @ weights.T.astype(np.float32)
    return Drawn(y.mean(-1), drawn.astype(np.float64), validation, truth)


def _figures(scenario: Scenario, drawn: Drawn) -> dict[str, Shares]:
    pairs = paired(drawn.scores, drawn.rows, ROWS)
    apart = drawn.truth[:, None] - drawn.truth[None, :]
    i, j = np.triu_indices(len(drawn.truth), 1)
    found: dict[str, Shares] = {}
    if not np.isnan(drawn.truth).any():
        found["cells"] = _cells(drawn).mean(-1)
    found["differences"] = (np.abs(pairs.mean - np.nan_to_num(apart)) <= pairs.half_width)[:, i, j].mean(-1)
    if drawn.rows is not None:
        wide = half_width(replace(pairs.variances, both=np.zeros_like(pairs.mean)), pairs.n, pairs.test_degrees)
        found["added"] = (np.abs(pairs.mean - np.nan_to_num(apart)) <= wide)[:, i, j].mean(-1)
        found["added_width"] = (wide / np.where(pairs.half_width > 0, pairs.half_width, wide + 1e-300))[:, i, j].mean(
            -1
        )
    match scenario.kind:
        case "references":
            return found | _references(drawn, pairs)
        case "twice":
            tested, _ = all_pairs(drawn.scores, pairs)
            return found | {"ties": ~tested.differ[:, -1, -2]}
        case "diverged":  # Whatever row it is, it is not among those that are tested.
            return found | _family(drawn, slice(1, None))
        case "copies":
            names = tuple(map(str, range(COUNT)))
            kept, _ = counted_once(names, dict.fromkeys(names[-5:], names[-6]))
            found["error_copies_apart"] = _any(dict(_others(drawn.scores, pairs))["tukey"])
            return found | _family(drawn, [int(name) for name in kept])
        case _:
            return found | _family(drawn, slice(None))


def _family(drawn: Drawn, which: slice | list[int]) -> dict[str, Shares]:
    """False finds among equal strategies, and true ones where the last is shifted, by four ways of testing."""
    scores, rows = drawn.scores[:, which], None if drawn.rows is None else drawn.rows[:, which]
    pairs = paired(scores, rows, ROWS)
    (chosen, unlike), others = all_pairs(scores, pairs), dict(_others(scores, pairs))
    error = np.sqrt(2 * np.mean(pairs.variances.total[:, -1, :-1] / 2))
    shifted = pairs.mean[:, -1, 1:-1] + SHIFT * error
    found = {"error": _any(chosen), "unlike": unlike < LEVEL, "power": _power(chosen, shifted)}
    for name, tested in others.items():
        found |= {f"error_{name}": _any(tested), f"power_{name}": _power(tested, shifted)}
    del found["power_games_howell"]  # It errs too often for its power to matter.
    return found


def _others(scores: Floats, pairs: Paired) -> Iterator[tuple[str, Tested]]:
    """Plain Tukey, Tukey with the larger error, Holm, and Games-Howell, each for every table."""
    count, n = scores.shape[-2:]
    yield "larger", tukey(scores, pairs)
    yield "holm", each_by_itself(pairs)
    degrees = (count - 1) * (n - 1)
    pooled = 2 * (blocked_residuals(scores) ** 2).sum((-2, -1))[:, None, None] / degrees / n
    seed = np.broadcast_to(pooled, pairs.mean.shape)
    yield "tukey", _studentised(pairs, Variances(seed, pairs.variances.test, pairs.variances.both), degrees)
    yield "games_howell", _studentised(pairs, pairs.variances, n - 1)


def _studentised(pairs: Paired, variances: Variances, degrees: float) -> Tested:
    freedom = variances.degrees(degrees, pairs.test_degrees)
    needed, error = critical(pairs.mean.shape[-1], freedom) / np.sqrt(2), np.sqrt(variances.total)
    return Tested(pairs.mean, error, freedom, needed, np.abs(pairs.mean) > needed * error)


def _any(tested: Tested) -> Shares:
    return np.asarray(tested.differ.any((-2, -1)))


def _power(tested: Tested, shifted: Floats) -> Floats:
    """Over pairs of the last strategy with those of usual spread."""
    return np.asarray((np.abs(shifted) > tested.half_width[:, -1, 1:-1]).mean(-1))


def _references(drawn: Drawn, pairs: Paired) -> dict[str, Shares]:
    """The first three rows are single modalities, the fourth is late fusion; all are equal.

    A false find is one against the single modality that validation picks, or against late fusion, each by itself.
    """
    tables = np.arange(len(drawn.scores))
    single = drawn.validation[:, :3].argmax(-1)
    p = pairs.p
    p[:, np.arange(p.shape[1]), np.arange(p.shape[1])] = np.nan  # No row is tested against itself.
    errors = [holm(p[tables, reference]) < LEVEL for reference in (single, np.full(len(tables), 3))]
    picked = drawn.validation.argmax(-1)
    return {
        "references": np.mean([wrong.any(-1) for wrong in errors], axis=0),
        "headline": _cells(drawn)[tables, picked],
    }


def _cells(drawn: Drawn) -> Shares:
    """Whether the interval of each strategy's mean holds its truth, (tables, K)."""
    n = drawn.scores.shape[-1]
    seed = drawn.scores.var(-1, ddof=1) / n
    if drawn.rows is None:
        nothing = np.zeros_like(seed)
        wide = half_width(Variances(seed, nothing, nothing), n, 1.0)
    else:
        test, one = drawn.rows.mean(-2).var(-1, ddof=1), drawn.rows.var(-1, ddof=1).mean(-1)
        variances = Variances(seed, test, np.maximum(one - test, 0) / (n - 1))
        wide = half_width(variances, n, row_degrees(RESAMPLES, ROWS))
    return np.asarray(np.abs(drawn.scores.mean(-1) - drawn.truth) <= wide)
