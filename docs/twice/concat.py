"""Concatenation once more, with weights of its own: what a table has to call tied with `concat`.

    y = MLP([LN(x_1); ...; LN(x_M)])     logits, (B, M*D) -> (B, C)

The run's seed decides these weights too, from a stream of its own; encoders, rows, order and budget are those of
`concat` at the same seed.

Parameters: (M*D+1)*W + (W+1)*C
FLOPs: 2*(M*D*W + W*C)
Source: fusionbench/fusion/concat.py.
Use: never; it tests the statistics.
"""

from __future__ import annotations

import torch

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class ConcatAgain(FusionModule):
    """Concatenate, then classify by an MLP, from other first weights."""

    display = "Concat again"
    paper, interaction, fidelity = "kiela2020hateful", "full", "faithful"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        own = int(torch.randint(2**62, ()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own)
            self.head = mlp_head([setting.width] * len(setting.task.names), setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        pooled, _ = stacked(encoded)
        return Prediction(self.head(pooled.flatten(1)))
