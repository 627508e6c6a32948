"""Synthetic PID: two vectors whose redundant, unique and synergistic information on the label is known exactly.

    a, b, c bits                      every cell (a, b, c) equally often in each split, to the sample
    x_1 = E_1[a, c] + noise           modality "a", (F,)
    x_2 = E_2[b, c] + noise           modality "b", (F,)
    y   = c                           redundant: either modality alone tells it
        = a, or b                     unique_a, unique_b: one modality tells it, the other is useless
        = a XOR b                     synergy: each modality alone is useless, and so is any sum over modalities

In `mixture` a fourth balanced variable r names the relation of the sample and is told to both modalities (E_1[a, c, r],
E_2[b, c, r]), so that without noise the best accuracy is 3/4 from one modality, 15/16 from any sum of one function per
modality (which gets three of the four cells of XOR at most; the sum of least NLL leaves XOR alone, 7/8) and 1 from both
together; in `synergy` it is 1/2, 3/4 and 1, and the additive model of least NLL is constant, ln 2. The rows of E are
orthogonal, of length sqrt(F).

The rows of the test split and E never depend on the seed; the seed moves the validation split.

Source: the partial information decomposition of Williams & Beer 2010, arXiv:1004.2515; the construction is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.balanced import (
    add_noise,
    cells_of,
    orthogonal,
    pool_of,
    refuse_noise,
    refuse_sizes,
    split_by_cells,
)
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split

DATA_SEED = 20_250_102
"""Draws embeddings and noise, once and for all."""
RELATIONS = ("redundant", "unique_a", "unique_b", "synergy")
"""What a sample of `mixture` may be, in the order of r."""


class SyntheticPID(MultimodalData):
    """Two vectors that carry bits; 2 classes."""

    views = {"pair": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 64}}}
    display = "Synthetic PID"
    paper, licence, home = "williams2010nonnegative", "CC0 1.0", "generated"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["pair"] = "pair",
        relation: Literal["redundant", "unique_a", "unique_b", "synergy", "mixture"],
        train: int = 2048,
        validation: int = 512,
        test: int = 2048,
        noise: float = 1.0,
        width: int = 32,
    ) -> None:
        """Sizes are in samples, `noise` is its standard deviation per feature, `width` is F.

        Raises:
            UserError: a size that is no positive multiple of the number of cells, a width below the number of codes,
                or a noise that is negative or not finite.
        """
        super().__init__(root, seed, batch_size)
        self.view, self.relation, self.noise, self.width = view, relation, noise, width
        self.sizes = {"train": train, "validation": validation, "test": test}
        self._check()

    def _check(self) -> None:
        cells = self.cells
        refuse_sizes("synthetic_pid", self.sizes, cells, f"its {cells} cells")
        if self.width < cells // 2:
            raise UserError(f"synthetic_pid: width must be at least {cells // 2} for {self.relation}, got {self.width}")
        refuse_noise("synthetic_pid", self.noise)

    @property
    def cells(self) -> int:
        """How many combinations of a, b, c (and r) there are."""
        return 8 * len(RELATIONS) if self.relation == "mixture" else 8

    @property
    def task(self) -> TaskSpec:
        """Two vectors of (F,)."""
        modalities = (ModalitySpec(name, "vector", (self.width,)) for name in self.views[self.view])
        return TaskSpec(tuple(modalities), classes=2)

    def identity(self) -> dict[str, Any]:
        """All options; of training and validation only the sum, since the seed divides them later."""
        facts = {"view": self.view, "relation": self.relation, "noise": self.noise, "width": self.width}
        return {**facts, "pool": pool_of(self.sizes), "test": self.sizes["test"]}

    def convert(self, folder: Path) -> None:
        """f32 (n, F) each, targets, and the cell of every row; first the rows for training and validation, then test.

        cells.npy holds a + 2 b + 4 c + 8 r, int64 (n,).
        """
        cells = cells_of(self.sizes, self.cells)
        a, b, c, r = cells & 1, cells >> 1 & 1, cells >> 2 & 1, cells >> 3
        for index, (name, own) in enumerate({"a": a, "b": b}.items()):
            embedding = orthogonal(self.cells // 2, self.width, np.random.default_rng([DATA_SEED, 0, index]))
            values = embedding[own + 2 * c + 4 * r]  # (n,) codes -> (n, F)
            add_noise(values, pool_of(self.sizes), self.noise, DATA_SEED, 1, index)
            np.save(folder / f"{name}.npy", values.astype(np.float32))
        labels = np.stack([c, a, b, a ^ b])  # (4, n), in the order of RELATIONS
        chosen = r if self.relation == "mixture" else np.full_like(r, RELATIONS.index(self.relation))
        np.save(folder / "targets.npy", labels[chosen, np.arange(len(cells))].astype(np.int64))
        np.save(folder / "cells.npy", cells.astype(np.int64))

    def split(self) -> Split:
        """Test: the last rows; validation by seed; every cell equally often in each."""
        return split_by_cells(np.asarray(self.arrays["cells"]), self.sizes, self.seed)
