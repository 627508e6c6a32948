"""Synthetic regression: two vectors that carry numbers, and a number to predict of which it is known what each tells.

    a, b, c                           independent numbers of variance 1, drawn from [-sqrt 3, sqrt 3]
    x_1 = a E_1[0] + c E_1[1] + noise           modality "a", (F,)
    x_2 = b E_2[0] + c E_2[1] + noise           modality "b", (F,)
    y   = c                           redundant: either modality alone tells it
        = a, or b                     unique_a, unique_b: one modality tells it, the other nothing
        = (a + b) / sqrt 2            sum: each modality tells half of its variance, any sum over modalities all
        = a b                         product: each modality alone tells nothing, and so does any sum over modalities

Samples come in eights, all signs of one (a, b, c), and no eight is divided between parts: in every part the mean of y
is 0, and in `product` the products of y with any function of one modality add up to 0, to the rounding. So no sum over
modalities has an R2 above 0 there. Noise alone lets one differ from that, and it takes little: from x_1 a is known with
an R2 of about 1 / (1 + noise^2 / F). The rows of E are orthogonal, of length sqrt(F).

The rows of the test split and E never depend on the seed; the seed moves the validation split.

Source: ours, as `synthetic_pid` for classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.balanced import add_noise, orthogonal, pool_of, refuse_noise, refuse_sizes
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split, stratified
from fusionbench.data.store import Array

DATA_SEED = 20_261_128
"""Draws numbers, embeddings and noise, once and for all."""
EIGHT = 8
"""Samples that belong together: the signs of three numbers."""


class SyntheticRegression(MultimodalData):
    """Two vectors that carry two numbers each; one to predict."""

    views = {"pair": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 64}}}
    kind = "regression"
    display = "Synthetic regression"
    licence, home = "CC0 1.0", "generated"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["pair"] = "pair",
        relation: Literal["redundant", "unique_a", "unique_b", "sum", "product"],
        train: int = 2048,
        validation: int = 512,
        test: int = 2048,
        noise: float = 0.5,
        width: int = 32,
    ) -> None:
        """Sizes are in samples, `noise` is its standard deviation per feature, `width` is F.

        Raises:
            UserError: a size that is no positive multiple of eight, a width below two, or a noise that is negative or
                not finite.
        """
        super().__init__(root, seed, batch_size)
        self.view, self.relation, self.noise, self.width = view, relation, noise, width
        self.sizes = {"train": train, "validation": validation, "test": test}
        refuse_sizes("synthetic_regression", self.sizes, EIGHT, "all signs")
        if width < 2:
            raise UserError(f"synthetic_regression: width must be at least 2, got {width}")
        refuse_noise("synthetic_regression", noise)

    @property
    def task(self) -> TaskSpec:
        """Two vectors of (F,)."""
        modalities = (ModalitySpec(name, "vector", (self.width,)) for name in self.views[self.view])
        return TaskSpec(tuple(modalities), classes=1, kind="regression")

    def identity(self) -> dict[str, Any]:
        """All options; of training and validation only the sum, since the seed divides them later."""
        facts = {"view": self.view, "relation": self.relation, "noise": self.noise, "width": self.width}
        return {**facts, "pool": pool_of(self.sizes), "test": self.sizes["test"]}

    def convert(self, folder: Path) -> None:
        """f32 (n, F) each, targets f64 (n,), and the numbers a, b, c as numbers.npy, f64 (n, 3).

        First the rows for training and validation, then test; a generator for each.
        """
        sizes = (pool_of(self.sizes), self.sizes["test"])
        numbers = np.concatenate(
            [_numbers(size, np.random.default_rng([DATA_SEED, 0, i])) for i, size in enumerate(sizes)]
        )
        a, b, c = numbers.T
        for index, (name, own) in enumerate({"a": a, "b": b}.items()):
            rows = orthogonal(2, self.width, np.random.default_rng([DATA_SEED, 1, index]))
            values = np.stack([own, c], 1) @ rows  # (n, 2) @ (2, F)
            add_noise(values, pool_of(self.sizes), self.noise, DATA_SEED, 2, index)
            np.save(folder / f"{name}.npy", values.astype(np.float32))
        found = {"redundant": c, "unique_a": a, "unique_b": b, "sum": (a + b) / np.sqrt(2), "product": a * b}
        np.save(folder / "targets.npy", found[self.relation])
        np.save(folder / "numbers.npy", numbers)

    def split(self) -> Split:
        """Test: the last rows; validation by seed; whole eights in each."""
        pool = pool_of(self.sizes)
        eights = np.zeros(pool // EIGHT, dtype=np.int64)
        train, validation = stratified(eights, self.sizes["validation"] / pool, np.random.default_rng(self.seed))
        every = np.arange(pool + self.sizes["test"])
        whole = every[:pool].reshape(-1, EIGHT)
        return Split(whole[train].ravel(), whole[validation].ravel(), every[pool:])


def _numbers(count: int, rng: np.random.Generator) -> Array:
    """Eights of numbers of variance 1, all signs of three drawn sizes: (n, 3)."""
    sizes = rng.uniform(0, np.sqrt(3), (count // EIGHT, 1, 3))
    signs = 1 - 2 * (np.arange(EIGHT)[:, None] >> np.arange(3) & 1)  # (8, 3)
    return np.asarray((sizes * signs).reshape(-1, 3))
