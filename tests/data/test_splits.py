"""Splits: every row in one part, the same fraction of every class in both."""

import hashlib
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.data.splits import Split, stratified

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
