"""Diabetes: how the disease of 442 patients went on in a year, from what was seen of them and from their blood.

A regression: one number, a measure of progression (25 to 346). `body` is what an examination tells: age, sex, body mass
index, average blood pressure. `serum` is six measures of the blood: total cholesterol, low- and high-density
lipoproteins, their ratio, probably the logarithm of triglycerides, glucose. Comes with scikit-learn, no download. The
test rows are a fixed fifth of each fifth by progression; an eighth of the rest, drawn by seed, is the validation split.

Source: Efron, Hastie, Johnstone, Tibshirani 2004, "Least Angle Regression", Annals of Statistics 32(2); the copy in
scikit-learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split, stratified
from fusionbench.data.store import Array

TEST_SEED = 20_261_127
"""Draws the test rows, once and for all."""
COLUMNS = {"body": slice(0, 4), "serum": slice(4, 10)}
"""age, sex, bmi, bp; s1 to s6."""
BANDS = 5
"""Of progression: every part has as many patients of each."""


class Diabetes(MultimodalData):
    """Four and six numbers; one to predict."""

    views = {"examination": {"body": "vector", "serum": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 64}}}
    kind = "regression"
    display = "Diabetes"
    paper, licence, home = "efron2004least", "none stated", "scikit-learn"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["examination"] = "examination",
    ) -> None:
        super().__init__(root, seed, batch_size)
        self.view = view

    @property
    def task(self) -> TaskSpec:
        """Two vectors, of (4,) and (6,)."""
        widths = {name: columns.stop - columns.start for name, columns in COLUMNS.items()}
        modalities = (ModalitySpec(name, "vector", (widths[name],)) for name in self.views[self.view])
        return TaskSpec(tuple(modalities), classes=1, kind="regression")

    def identity(self) -> dict[str, str]:
        """Only the view."""
        return {"view": self.view}

    def convert(self, folder: Path) -> None:
        """The raw measures as f64, (n, 4) and (n, 6), and the progression, (n,)."""
        from sklearn.datasets import load_diabetes

        found = load_diabetes(scaled=False)
        for name, columns in COLUMNS.items():
            np.save(folder / f"{name}.npy", found.data[:, columns].astype(np.float64))
        np.save(folder / "targets.npy", found.target.astype(np.float64))

    def split(self) -> Split:
        """Test: a fixed fifth; validation: an eighth of the rest, by seed; both of every band of progression."""
        bands = _bands(np.asarray(self.arrays["targets"]))
        rest, test = stratified(bands, 0.2, np.random.default_rng(TEST_SEED))
        train, validation = stratified(bands[rest], 0.125, np.random.default_rng(self.seed))
        return Split(rest[train], rest[validation], test)

    def preprocess(self, modality: str, values: Array, train: Rows) -> Array:
        """Each measure with mean 0 and variance 1 over the training rows."""
        seen = np.asarray(values)[train]
        return np.asarray((values - seen.mean(0)) / seen.std(0), dtype=np.float32)


def _bands(progression: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) in 0 .. BANDS-1: as many patients in each, up to one."""
    place = np.argsort(np.argsort(progression, kind="stable"), kind="stable")
    return np.asarray(place * BANDS // len(progression))
