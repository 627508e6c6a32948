"""A synergy whose modalities have labels of their own: y = a XOR b, each modality a noisy code of its bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split

COUNT, WIDTH = 640, 6


class Bits(MultimodalData):
    """Two vectors; 2 classes; every cell equally often in each part."""

    views = {"pair": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 16}}}
    auxiliary_classes = {"a": 2, "b": 2}

    def __init__(self, root: Path | str | None = None, seed: int = 0, batch_size: int = 128) -> None:
        super().__init__(root, seed, batch_size)

    @property
    def task(self) -> TaskSpec:
        return TaskSpec((ModalitySpec("a", "vector", (WIDTH,)), ModalitySpec("b", "vector", (WIDTH,))), 2)

    def convert(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        bits = {"a": np.arange(COUNT) & 1, "b": np.arange(COUNT) >> 1 & 1}
        for name, bit in bits.items():
            code = rng.standard_normal(WIDTH)
            np.save(folder / f"{name}.npy", np.outer(2 * bit - 1, code) + 0.3 * rng.standard_normal((COUNT, WIDTH)))
            np.save(folder / f"own_{name}.npy", bit)
        np.save(folder / "targets.npy", bits["a"] ^ bits["b"])

    def split(self) -> Split:
        return Split(*np.split(np.arange(COUNT), [COUNT // 2, COUNT * 3 // 4]))

    def batch(self, rows: Rows) -> MultimodalBatch:
        own = {name: torch.from_numpy(np.asarray(self.arrays[f"own_{name}"][rows])) for name in self.task.names}
        return replace(super().batch(rows), auxiliary=own)
