"""How often do the intervals of `stats/order.py` hold what another pair of orders would give, on average?

    python benchmarks/order_intervals.py [--tables 60] [--strategies 10 59]

Tables are made up: K strategies, true scores known, luck of seeds (its size another one for every strategy) and of the
test rows (correlated between strategies), three seeds in each order. Held against them: the 95 % interval, and the
plain percentile bootstrap, which adds noise to the scores that were seen.

    kind    seeds: the same test rows, other seeds;  rows: the same seeds, other test rows;  other: another suite
    truth   what the true scores are, in units of a seed's luck in the mean of three
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from fusionbench.stats.order import Floats, Order, agreement, residuals_of, tau_b, top_tau

SEEDS, ROWS_ERROR, LOADINGS, RESAMPLES, EXPECTED, SEED = 3, 0.7, 60, 400, 1500, 1


def truths(count: int, rng: np.random.Generator) -> Iterator[tuple[str, str, Floats]]:
    """Kind, name and the true scores in both orders, (K, 2)."""
    normal, away = rng.normal(size=count), rng.exponential(8, count)
    near = np.arange(count) < 0.75 * count
    shapes = {
        "all equal": np.zeros(count),
        "equal, a quarter far below": np.where(near, 0, -away),
        "spread 1": normal,
        "spread 3": 3 * normal,
        "spread 0.7, a quarter far below": np.where(near, 0.7 * normal, -3 - away),
    }
    for kind, chosen in (("seeds", list(shapes)), ("rows", list(shapes)[::2])):
        yield from ((kind, name, np.stack([shapes[name]] * 2, 1)) for name in chosen)
    apart = rng.normal(size=count)
    yield "other", "spread 2, correlation .5", np.stack([2 * normal, normal + np.sqrt(3) * apart], 1)
    yield "other", "spread 2, correlation 0", np.stack([2 * normal, 2 * apart], 1)


def studies(
    kind: str, truth: Floats, sizes: Floats, loadings: Floats, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Scores in both orders, (count, K, seeds) each."""
    seeds = sizes[:, None] * rng.normal(size=(2, count, len(truth), SEEDS))
    rows = np.stack([rng.normal(size=(count, LOADINGS)) @ loadings.T for _ in range(2)])[..., None]
    if kind == "rows":
        return [truth[:, at, None] + np.sqrt(2) * rows[at] + seeds[0] for at in (0, 1)]
    return [truth[:, at, None] + rows[0] + seeds[at] for at in (0, 1)]


def orders(kind: str, scores: list[Floats], loadings: Floats, rng: np.random.Generator) -> tuple[Order, Order]:
    """What a table knows of two orders: scores at seeds, and deviations on resampled test rows."""
    deviations = loadings @ rng.normal(size=(LOADINGS, RESAMPLES))
    deviations -= deviations.mean(1, keepdims=True)
    if kind == "seeds":  # Six seeds of one suite: all of them say how much luck a seed has.
        noise = [residuals_of(np.concatenate(scores, 1))] * 2
        names = [tuple(f"{at} {seed}" for seed in range(2 * SEEDS)) for at in (0, 1)]
    else:
        noise, names = [residuals_of(one) for one in scores], [tuple(map(str, range(SEEDS)))] * 2
    size, draws = (np.sqrt(2), ("first", "second")) if kind == "rows" else (1.0, ("d", "d"))
    first, second = (
        Order(scores[at].mean(1), noise[at], names[at], SEEDS, size * deviations, draws[at]) for at in (0, 1)
    )
    return first, second


def plain(scores: list[Floats], truly: float, rng: np.random.Generator) -> bool:
    """Whether the percentile bootstrap over seeds holds the truth: every strategy's seeds drawn with replacement."""
    drawn = rng.integers(SEEDS, size=(2, 200, len(scores[0]), SEEDS))
    again = [np.take_along_axis(one[None], which, 2).mean(2) for one, which in zip(scores, drawn, strict=True)]
    low, high = np.quantile(tau_b(*again), [0.025, 0.975])
    return bool(low <= truly <= high)


def main() -> None:
    """A line for each kind and truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tables", type=int, default=60)
    parser.add_argument("--strategies", type=int, nargs="+", default=[10, 59])
    options, rng = parser.parse_args(), np.random.default_rng(SEED)
    print(
        f"{'K':>3} {'kind':6} {'truth':32} {'tau':>5} {'held':>5} {'plain':>6} {'top tau':>8} {'held':>5} {'width':>6}"
    )
    for count in options.strategies:
        loadings = rng.normal(size=(count, LOADINGS))
        loadings *= ROWS_ERROR / np.linalg.norm(loadings, axis=1, keepdims=True)
        sizes = np.sqrt(SEEDS) * np.exp(0.5 * rng.normal(size=count))
        for kind, name, truth in truths(count, rng):
            means = [one.mean(2) for one in studies(kind, truth, sizes, loadings, EXPECTED, rng)]
            every, top, held = float(tau_b(*means).mean()), float(top_tau(*means).mean()), []
            for _ in range(options.tables):
                scores = [one[0] for one in studies(kind, truth, sizes, loadings, 1, rng)]
                found = agreement(*orders(kind, scores, loadings, rng), rng)
                inside = [one.low <= true <= one.high for one, true in ((found.all, every), (found.top, top))]
                held.append((*inside, plain(scores, every, rng), found.top.high - found.top.low))
            share = np.mean(held, axis=0)
            numbers = f"{every:5.2f} {share[0]:5.2f} {share[2]:6.2f} {top:8.2f} {share[1]:5.2f} {share[3]:6.2f}"
            print(f"{count:3} {kind:6} {name:32} {numbers}", flush=True)


if __name__ == "__main__":
    main()
