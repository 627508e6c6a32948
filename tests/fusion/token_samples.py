"""What the tests of the token family share: encodings with absent modalities and padding, weights that show."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import FusionModule
from fusionbench.testing.samples import WIDTH, built, task_of

SEQUENCES: tuple[ModalityKind, ...] = ("sequence",) * 3


def normed(x: NDArray[Any], parts: int = 1) -> NDArray[Any]:
    """What a head reads, by hand: each of `parts` equal parts of (..., X) less its mean, at unit variance."""
    split = x.reshape(*x.shape[:-1], parts, -1)
    centred = split - split.mean(-1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)).reshape(x.shape)


def encodings(count: int = 3) -> dict[str, Encoded]:
    """Four samples of up to 5, 3, 4, 2 and 6 random steps; sample 1 has no m0, sample 2 no m1."""
    draw, found = torch.Generator().manual_seed(7), {}
    for i, length in enumerate((5, 3, 4, 2, 6)[:count]):
        lengths = torch.randint(1, length + 1, (4, 1), generator=draw)
        present = torch.arange(4) != i + 1 if i < 2 else torch.ones(4, dtype=torch.bool)
        mask = (torch.arange(length) < lengths) & present[:, None]
        tokens = torch.randn(4, length, WIDTH, generator=draw)  # Padding holds numbers like any others.
        pooled = torch.randn(4, WIDTH, generator=draw) * present[:, None]
        found[f"m{i}"] = Encoded(pooled, tokens * present[:, None, None], mask, present)
    return found


def shaken(module: nn.Module) -> None:
    """Norms and biases that are not 1 and 0, so that none of them can be left out unseen."""
    draw = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))


def shaken_module(strategy: str, kinds: tuple[ModalityKind, ...] = SEQUENCES) -> FusionModule:
    module = built(strategy, task_of(kinds)).eval()
    shaken(module)
    return module
