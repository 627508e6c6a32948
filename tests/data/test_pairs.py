"""Pairs: every cell exactly its share, no sample twice, and the label what the relation says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fusionbench.data.pairs import LABELS, Pairs, cells_of, paired

RULES = {
    "redundant": lambda s, v: s,
    "unique_first": lambda s, v: s,
    "unique_second": lambda s, v: v,
    "synergy": lambda s, v: s ^ v,
}
ALL = tuple(LABELS)


def drawn(relations: tuple[str, ...], first: tuple[int, int] = (40, 50), second: int = 60, seed: int = 0) -> Pairs:
    """First rows 0 .. of kind 0, then of kind 1; second rows likewise, `second` of each kind."""
    rows = np.split(np.arange(sum(first)), [first[0]])
    kinds = np.arange(second * 2 * len(relations)).reshape(-1, second)
    rng = np.random.default_rng(seed)
    return paired(dict(enumerate(rows)), dict(enumerate(kinds)), cells_of(relations), rng)


def kinds_of(pairs: Pairs, first: int = 40, second: int = 60) -> list[tuple[int, int]]:
    """s and the second sample's kind of every pair."""
    return list(zip((pairs.first >= first).astype(int).tolist(), (pairs.second // second).tolist(), strict=True))


@pytest.mark.parametrize("relation", ALL)
def test_every_cell_of_a_relation_is_drawn_equally_often(relation: str) -> None:
    counts = Counter(kinds_of(drawn((relation,))))
    cells = {(0, 0), (1, 1)} if relation == "redundant" else {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert set(counts) == cells
    assert set(counts.values()) == {40 if relation == "redundant" else 20}  # 40 firsts of kind 0 are the scarcest.


@pytest.mark.parametrize("relation", ALL)
def test_the_label_is_what_the_relation_says(relation: str) -> None:
    pairs = drawn((relation,))
    assert pairs.targets.tolist() == [RULES[relation](s, v) for s, v in kinds_of(pairs)]


def test_in_a_mixture_the_second_kind_names_the_relation_and_all_have_as_many_pairs() -> None:
    pairs = drawn(ALL, first=(90, 90))
    found = [(s, ALL[kind // 2], kind % 2) for s, kind in kinds_of(pairs, first=90)]
    assert pairs.targets.tolist() == [RULES[relation](s, v) for s, relation, v in found]
    assert set(Counter(relation for _, relation, _ in found).values()) == {44}  # 90 // 8 = 11 to a share, 4 shares.
    for relation in ALL:
        counts = Counter((s, v) for s, name, v in found if name == relation)
        assert set(counts.values()) == {22 if relation == "redundant" else 11}


@pytest.mark.parametrize("relations", [(name,) for name in ALL] + [ALL])
def test_no_sample_comes_twice(relations: tuple[str, ...]) -> None:
    pairs = drawn(relations)
    assert len(set(pairs.first.tolist())) == len(set(pairs.second.tolist())) == len(pairs.targets)


def test_a_seed_draws_the_same_pairs_again_and_another_one_others() -> None:
    once, again, other = drawn(("synergy",)), drawn(("synergy",)), drawn(("synergy",), seed=1)
    np.testing.assert_array_equal(once.second, again.second)
    assert once.second.tolist() != other.second.tolist()


@pytest.mark.parametrize(("side", "best"), [("first", 0.75), ("second", 0.75), ("additive", 15 / 16), ("both", 1.0)])
def test_the_best_accuracies_of_a_mixture_are_those_that_its_page_states(side: str, best: float) -> None:
    """By counting: the best table per value of one side; over sums of two functions by trying all sign patterns."""
    pairs = drawn(ALL, first=(90, 90))
    cells = Counter(zip(kinds_of(pairs, first=90), pairs.targets.tolist(), strict=True))
    total = sum(cells.values())
    if side == "additive":
        # sign(f(s) + g(kind)): for each kind, the answers to s = 0, 1 are 00, 01, 11 (f rising), or 00, 10, 11.
        per_order = [
            sum(
                max(sum(n for ((s, k), y), n in cells.items() if k == kind and row[s] == y) for row in rows)
                for kind in range(8)
            )
            for rows in ([(0, 0), (0, 1), (1, 1)], [(0, 0), (1, 0), (1, 1)])
        ]
        assert max(per_order) / total == best
        return
    groups: dict[object, Counter[int]] = {}
    for ((s, kind), label), number in cells.items():
        key = {"first": s, "second": kind, "both": (s, kind)}[side]
        groups.setdefault(key, Counter())[label] += number
    assert sum(max(group.values()) for group in groups.values()) / total == best
