"""Synthetic parity: three vectors with a bit each; the label is whether the bits sum to an odd number.

    x_m = (2 b_m - 1) e_m + noise     modalities "a", "b", "c", (F,); e_m a random direction of length sqrt(F)
    y   = b_a XOR b_b XOR b_c         every cell (b_a, b_b, b_c) equally often in each split, to the sample

One modality, and any two, tell nothing: what is seen of the label is seen in all three together. So their pairwise
interactions, in the sense of Shapley, are what they share of the one third-order term, and any sum of functions that
leaves out a modality each is at chance.

The rows of the test split and the directions never depend on the seed; the seed moves the validation split.

Source: the partial information decomposition of Williams & Beer 2010, arXiv:1004.2515; the construction is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.balanced import add_noise, cells_of, pool_of, refuse_noise, refuse_sizes, split_by_cells
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split

DATA_SEED = 20_261_127
"""Draws directions and noise, once and for all."""
CELLS = 8


class SyntheticParity(MultimodalData):
    """Three vectors that carry a bit each; 2 classes."""

    views = {"triple": {"a": "vector", "b": "vector", "c": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 64}}}
    display = "Synthetic parity"
    paper, licence, home = "williams2010nonnegative", "CC0 1.0", "generated"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["triple"] = "triple",
        train: int = 2048,
        validation: int = 512,
        test: int = 2048,
        noise: float = 1.0,
        width: int = 32,
    ) -> None:
        """Sizes are in samples, `noise` is its standard deviation per feature, `width` is F.

        Raises:
            UserError: a size that is no positive multiple of 8, a width below 1, or a noise that is negative or not
                finite.
        """
        super().__init__(root, seed, batch_size)
        self.view, self.noise, self.width = view, noise, width
        self.sizes = {"train": train, "validation": validation, "test": test}
        refuse_sizes("synthetic_parity", self.sizes, CELLS, f"its {CELLS} cells")
        if width < 1:
            raise UserError(f"synthetic_parity: width must be at least 1, got {width}")
        refuse_noise("synthetic_parity", noise)

    @property
    def task(self) -> TaskSpec:
        """Three vectors of (F,)."""
        modalities = (ModalitySpec(name, "vector", (self.width,)) for name in self.views[self.view])
        return TaskSpec(tuple(modalities), classes=2)

    def identity(self) -> dict[str, Any]:
        """All options; of training and validation only the sum, since the seed divides them later."""
        facts = {"view": self.view, "noise": self.noise, "width": self.width}
        return {**facts, "pool": pool_of(self.sizes), "test": self.sizes["test"]}

    def convert(self, folder: Path) -> None:
        """f32 (n, F) each, targets, and the cell of every row; first the rows for training and validation, then test.

        cells.npy holds b_a + 2 b_b + 4 b_c, int64 (n,).
        """
        cells = cells_of(self.sizes, CELLS)
        labels = np.zeros_like(cells)
        for index, name in enumerate(self.views[self.view]):
            bits = cells >> index & 1
            labels ^= bits
            direction = np.random.default_rng([DATA_SEED, 0, index]).standard_normal(self.width)
            direction *= np.sqrt(self.width) / np.linalg.norm(direction)
            values = (2.0 * bits - 1)[:, None] * direction  # (n, F)
            add_noise(values, pool_of(self.sizes), self.noise, DATA_SEED, 1, index)
            np.save(folder / f"{name}.npy", values.astype(np.float32))
        np.save(folder / "targets.npy", labels.astype(np.int64))
        np.save(folder / "cells.npy", cells.astype(np.int64))

    def split(self) -> Split:
        """Test: the last rows; validation by seed; every cell equally often in each."""
        return split_by_cells(np.asarray(self.arrays["cells"]), self.sizes, self.seed)
