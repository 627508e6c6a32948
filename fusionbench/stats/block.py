"""Which strategies can be held against one another at once: those that have the seeds that most of them have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping


def block(seeds: Mapping[str, Collection[int]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Strategies and seeds such that each of the one has all of the other.

    The seeds are those that at least half as many strategies have as have the one that most do; a suite that is not
    done yet thus loses the seed that it is at, or the strategies that wait for it.

    Args:
        seeds: of each strategy, those that are done.
    """
    counts = Counter(seed for found in seeds.values() for seed in found)
    most = max(counts.values(), default=0)
    common = tuple(sorted(seed for seed, count in counts.items() if 2 * count >= most))
    return tuple(name for name, found in seeds.items() if common and set(common) <= set(found)), common
