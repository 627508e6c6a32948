"""Numbers and categories of a table: each category column is embedded, what is then side by side goes through an MLP.

    h_0 = [x; E_1 c_1; ...; E_J c_J]                          (B, K), J times (B, V_j) -> (B, K + J*e)
    h_l = dropout(ReLU(W_l h_{l-1} + b_l)),  l = 1 .. depth   -> (B, D)

x are numbers and flags, c_j zeros and a one: the modality's spec says of what sizes the categories are that its vector
ends in. A vector without any goes through the MLP alone.

Source: Guo & Berkhahn 2016, "Entity Embeddings of Categorical Variables", arXiv:1604.06737.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import at_least_one
from fusionbench.encoders.base import Encoder, Hidden


class TableEncoder(Encoder):
    """`embed` numbers for each category, `depth` layers of `width` units with ReLU."""

    kinds, paper = ("vector",), "guo2016entity"

    def __init__(
        self, spec: ModalitySpec, dropout: float = 0.0, *, width: int = 128, embed: int = 8, depth: int = 1
    ) -> None:
        super().__init__(spec, width)
        for option, value in {"embed": embed, "depth": depth}.items():
            at_least_one("table", option, value)
        self.sizes = (spec.shape[0] - sum(spec.categories), *spec.categories)
        self.embeddings = nn.ModuleList(nn.Embedding(size, embed) for size in spec.categories)
        inputs = self.sizes[0] + embed * len(spec.categories)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout))
                for a, b in pairwise([inputs, *[width] * depth])
            )
        )
        self.stage_widths = (width,) * depth

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """(B, F) -> (B, K + J*e)."""
        numbers, *ones = torch.split(x, list(self.sizes), dim=1)
        # A product with zeros and ones is the row of the embedding, and zeros where the modality is absent.
        found = [one @ weight for one, weight in zip(ones, self.embeddings.parameters(), strict=True)]
        return Hidden(torch.cat([numbers, *found], 1), None, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One layer: (B, X) -> (B, D)."""
        return replace(hidden, map=self.layers[number](hidden.map))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, D) -> pooled (B, D), tokens (B, 1, D)."""
        return Encoded(hidden.map, hidden.map[:, None], hidden.present[:, None], hidden.present)
