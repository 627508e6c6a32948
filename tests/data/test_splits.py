"""Splits: every row in one part, the same fraction of every class in both."""

import hashlib
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.data.splits import Split, halves, held_out, stratified

labels_of_any_kind = st.lists(st.integers(-2, 4), max_size=200).map(lambda found: np.array(found, dtype=np.int64))


@given(labels_of_any_kind, st.floats(0, 1), st.integers(0, 1000))
def test_every_row_is_in_one_part_and_parts_are_sorted(labels: np.ndarray, fraction: float, seed: int) -> None:
    first, second = stratified(labels, fraction, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(labels)))
    assert first.tolist() == sorted(first)
    assert second.tolist() == sorted(second)
    assert first.dtype == second.dtype == np.int64


@given(labels_of_any_kind, st.floats(0, 1), st.integers(0, 1000))
def test_every_class_gives_its_fraction_rounded(labels: np.ndarray, fraction: float, seed: int) -> None:
    _, second = stratified(labels, fraction, np.random.default_rng(seed))
    for label in set(labels.tolist()):
        assert abs((labels[second] == label).sum() - fraction * (labels == label).sum()) <= 0.5


@given(labels_of_any_kind, st.floats(0, 1), st.integers(0, 1000))
def test_classes_are_drawn_one_after_the_other(labels: np.ndarray, fraction: float, seed: int) -> None:
    rng, drawn = np.random.default_rng(seed), [np.zeros(0, dtype=np.int64)]
    for label in sorted(set(labels.tolist())):
        rows = rng.permutation(np.flatnonzero(labels == label))
        drawn.append(rows[: round(fraction * len(rows))])
    _, second = stratified(labels, fraction, np.random.default_rng(seed))
    assert second.tolist() == sorted(np.concatenate(drawn))


def test_the_generator_alone_decides_which_rows() -> None:
    labels = np.repeat(np.arange(5), 40)
    chosen = [stratified(labels, 0.25, np.random.default_rng(seed))[1].tolist() for seed in (3, 3, 4)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_every_row_is_as_likely_as_its_classmates() -> None:
    labels = np.array([0] * 10 + [1] * 4)
    rng = np.random.default_rng(0)
    counts = np.zeros(14)
    for _ in range(2000):
        counts[stratified(labels, 0.5, rng)[1]] += 1
    # 2,000 draws of a fair coin: a standard deviation of 22.
    assert np.abs(counts - 1000).max() < 5 * 22.4


def test_the_hash_of_a_split_is_of_its_three_lists_of_rows() -> None:
    split = Split(np.array([0, 2]), np.array([3]), np.array([1, 4]))
    words = [2, 0, 2, 1, 3, 2, 1, 4]
    assert split.sha256 == hashlib.sha256(struct.pack(f"<{len(words)}q", *words)).hexdigest()
    assert split.counts == {"train": 2, "validation": 1, "test": 2}


def test_a_row_that_changes_its_part_changes_the_hash() -> None:
    rows = np.arange(4)
    assert Split(rows[:2], rows[2:3], rows[3:]).sha256 != Split(rows[:2], rows[2:], rows[4:]).sha256


def test_the_hash_of_the_test_rows_is_theirs_alone_or_of_what_they_stand_for() -> None:
    rows, other = np.arange(5), np.array([1, 0, 2, 3, 4])
    split = Split(rows[:2], rows[2:3], rows[3:])
    assert split.test_sha256 == hashlib.sha256(struct.pack("<2q", 3, 4)).hexdigest()
    assert Split(rows[:1], rows[1:3], rows[3:]).test_sha256 == split.test_sha256
    assert Split(rows[:3], rows[3:4], rows[4:]).test_sha256 != split.test_sha256
    drawn = [np.stack([found, 10 * found]) for found in (rows, other, rows[::-1])]
    hashes = [Split(rows[:2], rows[2:3], rows[3:], pairs).test_sha256 for pairs in drawn]
    assert hashes[0] == hashes[1] != hashes[2]


@given(labels_of_any_kind, st.integers(0, 1000))
def test_halves_hold_every_row_once_and_every_class_evenly(labels: np.ndarray, seed: int) -> None:
    first, second = halves(labels, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(labels)))
    assert first.tolist() == sorted(first)
    assert second.tolist() == sorted(second)
    assert first.dtype == second.dtype == np.int64
    assert abs(len(first) - len(second)) <= 1
    for label in set(labels.tolist()):
        assert abs(int((labels[first] == label).sum()) - int((labels[second] == label).sum())) <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 12)), max_size=120), st.integers(0, 1000))
def test_halves_keep_groups_whole(rows: list[tuple[int, int]], seed: int) -> None:
    labels, groups = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    first, second = halves(labels, np.random.default_rng(seed), groups)
    assert sorted([*first, *second]) == list(range(len(rows)))
    assert first.tolist() == sorted(first)
    assert second.tolist() == sorted(second)
    assert not set(groups[first].tolist()) & set(groups[second].tolist())
    if rows:  # Each group goes to where less is, so that the last one that tips it is the most they differ by.
        assert abs(len(first) - len(second)) <= 2 * np.bincount(groups - groups.min()).max()


def test_groups_of_one_class_each_are_dealt_by_hand() -> None:
    # Of class 0 groups of 4, 3 and 1 rows, of class 1 two of 2: 4 | 3 + 1 and 2 | 2 is the one even cut.
    labels = np.array([0] * 8 + [1] * 4)
    groups = np.array([7] * 4 + [5] * 3 + [9] + [1, 1, 2, 2])
    cuts = {tuple(map(tuple, halves(labels, np.random.default_rng(seed), groups))) for seed in range(40)}
    big, rest = (0, 1, 2, 3), (4, 5, 6, 7)
    one, two = (8, 9), (10, 11)
    assert cuts == {(big + one, rest + two), (big + two, rest + one), (rest + one, big + two), (rest + two, big + one)}


def test_many_small_groups_are_cut_nearly_evenly_in_every_class() -> None:
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 800, 6000), rng.integers(0, 2, 6000)
    first, second = halves(labels, np.random.default_rng(1), groups)
    assert abs(len(first) - len(second)) <= 8
    assert abs(int(labels[first].sum()) - int(labels[second].sum())) <= 8


def test_the_generator_alone_decides_the_halves_and_every_row_is_as_likely_in_each() -> None:
    labels, groups = np.array([0] * 9 + [1] * 5), np.array([0] * 3 + [1] * 2 + [*range(2, 11)])
    for given_groups in (None, groups):
        found = [halves(labels, np.random.default_rng(seed), given_groups)[0].tolist() for seed in (3, 3, 4)]
        assert found[0] == found[1] != found[2]
        counts, rng = np.zeros(14), np.random.default_rng(0)
        for _ in range(2000):
            counts[halves(labels, rng, given_groups)[0]] += 1
        assert np.abs(counts - 1000).max() < 5 * 22.4


@given(labels_of_any_kind.filter(len), st.floats(0.05, 0.5), st.integers(0, 1000), st.integers(1, 30))
def test_what_is_held_out_leaves_every_class_a_row_and_groups_whole(
    labels: np.ndarray, fraction: float, seed: int, count: int
) -> None:
    groups = np.random.default_rng(seed).integers(count, size=len(labels))
    for given_groups in (None, groups):
        kept, held = held_out(labels, fraction, np.random.default_rng(seed), given_groups)
        assert sorted([*kept, *held]) == list(range(len(labels)))
        assert set(labels[kept]) == set(labels)
        if given_groups is not None:
            assert not set(groups[kept]) & set(groups[held])


@given(st.integers(2, 40), st.integers(0, 1000))
def test_some_row_is_held_out_wherever_a_class_has_two(classes: int, seed: int) -> None:
    labels = np.repeat(np.arange(classes), 2)  # A tenth of two is none.
    kept, held = held_out(labels, 0.1, np.random.default_rng(seed))
    assert 1 <= len(held) <= classes
    assert abs(len(held) - 0.1 * len(labels)) <= 1
    assert len(kept) == len(labels) - len(held)


def test_with_many_groups_the_fraction_and_the_classes_are_met() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), rng.integers(1, 8, size=400))
    labels = rng.integers(5, size=len(groups))
    for seed in range(5):
        _, held = held_out(labels, 0.2, np.random.default_rng(seed), groups)
        assert abs(len(held) / len(labels) - 0.2) < 0.01
        shares = np.bincount(labels[held]) / np.bincount(labels)
        assert np.abs(shares - 0.2).max() < 0.03
    other = held_out(labels, 0.2, np.random.default_rng(9), groups)[1]
    assert held.tolist() != other.tolist()


def test_of_a_few_large_groups_one_is_held_out() -> None:
    groups = np.repeat(np.arange(5), 20)
    labels = np.tile([0, 1], 50)
    _, held = held_out(labels, 0.1, np.random.default_rng(0), groups)
    assert len(set(groups[held])) == 1
    assert held_out(labels, 0.1, np.random.default_rng(0), np.zeros(100))[1].size == 0  # One group is nothing to cut.
