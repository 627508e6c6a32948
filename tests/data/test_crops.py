"""Crop and flip, against torchvision: the same pictures for the same draws, and draws of the same distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from fusionbench.data.crops import Draws, crop_and_flip, draw


@given(st.integers(0, 6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_pictures_are_torchvisions_for_the_same_draws(padding: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    fill = rng.integers(0, 256, 3)
    draws = draw(count, padding, True, seed, epoch=0)
    found = crop_and_flip(pictures, draws, padding, fill)
    for place, picture in enumerate(torch.from_numpy(pictures)):
        y, x = draws.corners[place].tolist()
        expected = V.crop(V.pad(picture, [padding] * 4, fill=[int(value) for value in fill]), y, x, 8, 8)
        expected = V.horizontal_flip(expected) if draws.mirrored[place] else expected
        assert found[place].tolist() == expected.tolist()
    assert found.dtype == np.uint8


def test_every_corner_with_and_without_flip_is_equally_likely() -> None:
    draws = draw(81_000, 4, True, seed=3, epoch=5)
    cells = draws.corners[:, 0] * 18 + draws.corners[:, 1] * 2 + draws.mirrored
    counts = np.bincount(cells, minlength=162)
    assert len(counts) == 162
    assert chisquare(counts).pvalue > 1e-3


def test_the_corners_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    crop, picture = v2.RandomCrop(32, padding=4), torch.zeros(3, 32, 32, dtype=torch.uint8)
    theirs = [crop.make_params([picture]) for _ in range(8100)]
    ours = draw(8100, 4, True, seed=1, epoch=0).corners
    tables = [
        np.bincount([one["top"] * 9 + one["left"] for one in theirs], minlength=81),
        np.bincount(ours[:, 0] * 9 + ours[:, 1], minlength=81),
    ]
    assert chi2_contingency(np.array(tables)).pvalue > 1e-3
    assert v2.RandomHorizontalFlip().p == 0.5


def test_successive_epochs_and_neighbouring_rows_are_independent() -> None:
    first, second = (draw(20_000, 4, True, seed=0, epoch=epoch) for epoch in (0, 1))
    for one, other in ((first.corners[:, 0], second.corners[:, 0]), (first.corners[:-1, 1], first.corners[1:, 1])):
        table = np.bincount(one * 9 + other, minlength=81).reshape(9, 9)
        assert chi2_contingency(table).pvalue > 1e-3


def test_the_same_seed_and_epoch_draw_the_same_and_others_do_not() -> None:
    drawn = [draw(50, 4, True, seed, epoch).corners.tolist() for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert drawn[0] == drawn[1]
    assert len({str(one) for one in drawn}) == 3


def test_without_flip_nothing_is_mirrored_and_the_corners_stay() -> None:
    plain, flipped = (draw(100, 4, flip, seed=2, epoch=1) for flip in (False, True))
    assert not plain.mirrored.any()
    assert flipped.mirrored.any()
    assert (plain.corners == flipped.corners).all()


def test_the_draws_of_some_rows_are_those_of_all_at_these_rows() -> None:
    draws = draw(30, 4, True, seed=0, epoch=0)
    some = draws.of(np.array([7, 2, 7]))
    assert some.corners.tolist() == draws.corners[[7, 2, 7]].tolist()
    assert some.mirrored.tolist() == draws.mirrored[[7, 2, 7]].tolist()


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_source_is_left_as_it_was(mirrored: bool) -> None:
    pictures = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    before = pictures.copy()
    crop_and_flip(pictures, Draws(np.zeros((2, 2), dtype=np.int64), np.full(2, mirrored)), 1, np.zeros(3))
    assert (pictures == before).all()
