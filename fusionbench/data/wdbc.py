"""WDBC: 569 breast tumours, malignant or benign, seen as three modalities of ten numbers each.

Ten measures of the cell nuclei in a picture (radius, texture, ...): their mean, its standard error, and the mean of the
three largest ("worst"). Three views of one picture, not three sensors. Comes with scikit-learn, no download. The test
rows are a fixed fifth of either class; an eighth of the rest, drawn by seed, is the validation split.

Source: Street, Wolberg, Mangasarian 1993, "Nuclear feature extraction for breast tumor diagnosis"; UCI; the copy in
scikit-learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split, stratified
from fusionbench.data.store import Array

TEST_SEED = 20_250_103
"""Draws the test rows, once and for all."""
FEATURES = 10
"""Numbers in each modality; scikit-learn has the means first, then the errors, then the worst."""


class WDBC(MultimodalData):
    """Mean, standard error and worst of ten measures; 2 classes, 0 malignant and 1 benign."""

    views = {"statistics": {"mean": "vector", "error": "vector", "worst": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 64}}}
    class_names = ("malignant", "benign")
    display = "WDBC"
    paper, licence, home = "street1993nuclear", "CC BY 4.0", "scikit-learn"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["statistics"] = "statistics",
    ) -> None:
        super().__init__(root, seed, batch_size)
        self.view = view

    @property
    def task(self) -> TaskSpec:
        """Three vectors of (10,)."""
        modalities = (ModalitySpec(name, "vector", (FEATURES,)) for name in self.views[self.view])
        return TaskSpec(tuple(modalities), classes=2)

    def identity(self) -> dict[str, str]:
        """Only the view."""
        return {"view": self.view}

    def convert(self, folder: Path) -> None:
        """The raw measures as f64, (n, 10) each."""
        from sklearn.datasets import load_breast_cancer

        found = load_breast_cancer()
        for index, name in enumerate(self.views[self.view]):
            np.save(folder / f"{name}.npy", found.data[:, index * FEATURES : (index + 1) * FEATURES].astype(np.float64))
        np.save(folder / "targets.npy", found.target.astype(np.int64))

    def split(self) -> Split:
        """Test: a fixed fifth; validation: an eighth of the rest, by seed; both stratified."""
        labels = np.asarray(self.arrays["targets"])
        rest, test = stratified(labels, 0.2, np.random.default_rng(TEST_SEED))
        train, validation = stratified(labels[rest], 0.125, np.random.default_rng(self.seed))
        return Split(rest[train], rest[validation], test)

    def input_names(self, modality: str) -> list[str]:
        """As scikit-learn has them: "mean radius"."""
        from sklearn.datasets import load_breast_cancer

        at = list(self.views[self.view]).index(modality) * FEATURES
        return [str(name) for name in load_breast_cancer().feature_names[at : at + FEATURES]]

    def preprocess(self, modality: str, values: Array, train: Rows) -> Array:
        """Each measure with mean 0 and variance 1 over the training rows."""
        seen = np.asarray(values)[train]
        return np.asarray((values - seen.mean(0)) / seen.std(0), dtype=np.float32)
