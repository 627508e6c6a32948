"""Digits: 1,797 handwritten digits of 8x8 pixels, seen as two modalities, the left and the right half.

Multi-view data: one picture cut in two, not two sensors. Comes with scikit-learn, no download. The test rows are a
fixed fifth of every class; a tenth of the rest, drawn by seed, is the validation split.

Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI; the copy in scikit-learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split, stratified
from fusionbench.data.store import Array

TEST_SEED = 20_250_101
"""Draws the test rows, once and for all."""


class Digits(MultimodalData):
    """Left and right half of 8x8 digits; 10 classes."""

    views = {"halves": {"left": "image", "right": "image"}}
    default_encoders = {"image": {"name": "small_cnn", "options": {"width": 64, "channels": [16, 32]}}}
    display = "Digits"
    paper, licence, home = "alpaydin1998digits", "CC BY 4.0", "scikit-learn"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["halves"] = "halves",
    ) -> None:
        super().__init__(root, seed, batch_size)
        self.view = view

    @property
    def task(self) -> TaskSpec:
        """Two pictures of (1, 8, 4)."""
        return TaskSpec(tuple(ModalitySpec(name, "image", (1, 8, 4)) for name in self.views[self.view]), classes=10)

    def identity(self) -> dict[str, str]:
        """Only the view."""
        return {"view": self.view}

    def convert(self, folder: Path) -> None:
        """Pixels 0 .. 16 as u8, (n, 1, 8, 4) each."""
        from sklearn.datasets import load_digits

        found = load_digits()
        pictures = found.images.astype(np.uint8)[:, None]
        np.save(folder / "left.npy", pictures[..., :4])
        np.save(folder / "right.npy", pictures[..., 4:])
        np.save(folder / "targets.npy", found.target.astype(np.int64))

    def split(self) -> Split:
        """Test: a fixed fifth; validation: a tenth of the rest, by seed; both stratified."""
        labels = np.asarray(self.arrays["targets"])
        rest, test = stratified(labels, 0.2, np.random.default_rng(TEST_SEED))
        train, validation = stratified(labels[rest], 0.1, np.random.default_rng(self.seed))
        return Split(rest[train], rest[validation], test)

    def preprocess(self, modality: str, values: Array, train: Rows) -> Array:
        """Less the mean training picture, in units of the standard deviation of all its pixels.

        Not to [0, 1]: what all pictures share would be most of what an encoder starts with.
        """
        pixels = np.asarray(values, dtype=np.float32)
        centred = pixels - pixels[train].mean(0)
        return centred / centred[train].std()
