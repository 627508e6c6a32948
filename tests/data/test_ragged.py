"""Rows of different lengths, and batches of rows of like length."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.data.buckets import POOL, LengthBuckets
from fusionbench.data.orders import EpochOrder
from fusionbench.data.ragged import padded


@given(st.lists(st.lists(st.integers(1, 99), max_size=7), min_size=1, max_size=9), st.randoms())
def test_padded_rows_are_the_rows_and_zeros(lists: list[list[int]], draw: random.Random) -> None:
    values = np.array([value for row in lists for value in row], dtype=np.int16)
    offsets = np.cumsum([0, *map(len, lists)])
    rows = np.array(draw.choices(range(len(lists)), k=5))
    found, real = padded(values, offsets[rows], offsets[rows + 1] - offsets[rows])
    assert found.shape == real.shape == (5, max(1, *(len(lists[row]) for row in rows)))
    for place, row in enumerate(rows):
        assert found[place][real[place]].tolist() == lists[row]
        assert real[place].tolist() == sorted(real[place].tolist(), reverse=True)
    assert not found[~real].any()


def order(seed: int = 0, epoch: int = 0, rows: int = 5000) -> tuple[LengthBuckets, np.ndarray]:
    lengths = np.random.default_rng(1).integers(1, 400, 2 * rows)
    made = LengthBuckets(np.arange(rows) * 2, 8, seed, lengths)
    made.set_epoch(epoch)
    return made, lengths


def test_buckets_have_the_rows_of_the_plain_order_in_full_batches() -> None:
    buckets, _ = order(epoch=3)
    plain = EpochOrder(buckets.rows, 8, buckets.seed)
    plain.set_epoch(3)
    batches = list(buckets)
    assert {len(batch) for batch in batches} == {8}
    assert len(batches) == len(buckets) == len(plain)
    assert sorted(np.concatenate(batches)) == sorted(np.concatenate(list(plain)))


def test_buckets_pad_much_less_than_a_plain_order() -> None:
    buckets, lengths = order()

    def share(batches: list[np.ndarray]) -> float:
        return float(np.mean([lengths[batch].mean() / lengths[batch].max() for batch in batches]))

    assert share(list(buckets)) > 0.95 > 0.7 > share(list(EpochOrder(buckets.rows, 8, 0)))


def test_short_and_long_batches_come_in_no_order() -> None:
    buckets, lengths = order()
    means = [lengths[batch].mean() for batch in buckets][:POOL]
    assert abs(np.corrcoef(means, range(POOL))[0, 1]) < 0.4


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (1, 0)])
def test_every_epoch_and_seed_has_batches_of_its_own_and_always_the_same(seed: int, epoch: int) -> None:
    first, again, other = ([batch.tolist() for batch in order(*which)[0]] for which in ((0, 0), (0, 0), (seed, epoch)))
    assert first == again != other
