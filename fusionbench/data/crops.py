"""Crop and flip of training pictures, whole batches at a time, equal in distribution to torchvision's per picture.

    padded = the picture with P pixels of `fill` on every side         (C, S+2P, S+2P)
    out    = padded[:, y : y+S, x : x+S],  y, x uniform in 0 .. 2P     (C, S, S)
    out    = out mirrored left to right, with probability 1/2

What happens to a picture depends on (seed, epoch, its row) alone: not on the batch that it is in, nor on how many
devices share the batch, nor on what was drawn before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import derived_seed
from fusionbench.data.splits import Rows

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Draws:
    """What one epoch does to every row of the dataset."""

    corners: NDArray[np.int64]
    """(n, 2): y and x of the crop in the padded picture, in 0 .. 2P."""
    mirrored: NDArray[np.bool_]
    """(n,)."""

    def of(self, rows: Rows) -> Draws:
        """Those of some rows, in their order."""
        return Draws(self.corners[rows], self.mirrored[rows])


def draw(count: int, padding: int, flip: bool, seed: int, epoch: int) -> Draws:
    """The draws of all `count` rows for one epoch.

    Args:
        count: how many rows the dataset has.
        padding: P, in pixels.
        flip: whether half of the pictures are mirrored; else none is.
        seed: the run's.
        epoch: from 0.
    """
    rng = np.random.default_rng(derived_seed(seed, f"augmentation/{epoch}"))
    corners = rng.integers(0, 2 * padding + 1, (count, 2))
    return Draws(corners, rng.integers(0, 2, count).astype(bool) & flip)


def crop_and_flip(pictures: Pictures, draws: Draws, padding: int, fill: NDArray[Any]) -> Pictures:
    """Augment a batch.

    Args:
        pictures: (B, C, S, S), u8.
        draws: one for each picture.
        padding: P, in pixels.
        fill: (C,) the colour of the padding.

    Returns:
        (B, C, S, S), u8, a new array.
    """
    count, channels, side, _ = pictures.shape
    padded = np.empty((count, channels, side + 2 * padding, side + 2 * padding), dtype=np.uint8)
    padded[:] = np.asarray(fill, dtype=np.uint8)[:, None, None]
    padded[:, :, padding : padding + side, padding : padding + side] = pictures
    out = np.empty_like(pictures)
    # A loop of slices is several times as fast as one gather by index: whole rows are copied, not single bytes.
    for place, (y, x) in enumerate(draws.corners.tolist()):
        out[place] = padded[place, :, y : y + side, x : x + side]
    out[draws.mirrored] = out[draws.mirrored][..., ::-1]
    return out
