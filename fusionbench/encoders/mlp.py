"""Multilayer perceptron: for vectors, for each step of a sequence, and for small pictures and spectrograms laid flat.

    h_0 = x;   h_l = dropout(ReLU(W_l h_{l-1} + b_l)),  l = 1 .. depth     (B, F) -> (B, D)

A sequence is encoded step by step and pooled by the mean over its real steps. With steps = S > 0 its tokens are the
means of S runs of neighbouring steps, (B, S, D).

Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors", Nature 323.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import at_least_none, averaged
from fusionbench.encoders.base import Encoder, Hidden


class MLP(Encoder):
    """`depth` layers of `width` units with ReLU."""

    kinds, paper = ("vector", "sequence", "image", "audio"), "rumelhart1986learning"
    later = {"steps": 0}

    def __init__(
        self, spec: ModalitySpec, dropout: float = 0.0, *, width: int = 128, depth: int = 1, steps: int = 0
    ) -> None:
        super().__init__(spec, width)
        self.steps = at_least_none("mlp", steps)
        inputs = spec.shape[-1] if spec.kind == "sequence" else math.prod(spec.shape)
        sizes = [inputs, *[width] * depth]
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)) for a, b in pairwise(sizes))
        )
        self.stage_widths = (width,) * depth

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """Of a sequence (B, T, F) as it is, with zeros in the padding; all else laid flat, (B, *shape) -> (B, F)."""
        if self.spec.kind != "sequence":
            return Hidden(x.flatten(1), None, present)
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return Hidden(torch.where(mask[..., None], x, torch.zeros_like(x)), mask, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One layer: (B, X) -> (B, D), or (B, T, X) -> (B, T, D)."""
        return replace(hidden, map=self.layers[number](hidden.map))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, D) or (B, T, D) -> pooled (B, D); tokens (B, T or S, D), T = 1 but for a sequence."""
        if hidden.mask is None:
            return Encoded(hidden.map, hidden.map[:, None], hidden.present[:, None], hidden.present)
        tokens = hidden.map * hidden.mask[..., None]
        pooled = tokens.sum(1) / hidden.mask.sum(1, keepdim=True).clamp(min=1)
        return Encoded(pooled, *averaged(tokens, hidden.mask, self.steps), hidden.present)
