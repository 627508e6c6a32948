"""Bag of weighted features: a vector for each times its weight, summed whatever their order.

    tokens = w_t E[id_t]                      (B, T, 2) holding (id, weight) -> (B, T, D)
    pooled = sum_t w_t E[id_t]                (B, D), over real entries; pool = "mean": divided by sum_t |w_t|

A bag has no order, so no neighbours: with steps = 1, pooled is its only token; 0, all entries are tokens.

With a linear map behind it this is a linear classifier on the features, of rank D. The sum starts from small vectors,
since hundreds of entries add up; the mean from vectors of unit variance.

Parameters: V*D
FLOPs: 2*T*D
Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", EACL (a mean of n-gram vectors).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import cleared, embedding, real_steps
from fusionbench.encoders.base import Encoder

SPREAD = {"sum": 0.02, "mean": 1.0}
"""Standard deviation of the vectors at the start."""
EXACT = 1 << 24
"""Ids come as float32, which holds every integer up to here."""


class Bag(Encoder):
    """A sum, or mean, of vectors times weights."""

    kinds, paper = ("bag",), "joulin2017bag"
    later = {"steps": 0}

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        pool: Literal["sum", "mean"] = "sum",
        steps: Literal[0, 1] = 0,
    ) -> None:
        super().__init__(spec, width)
        self.steps = steps
        self.embed = embedding(spec, width)
        if self.embed.num_embeddings > EXACT:
            raise UserError(
                f"encoder 'bag': '{spec.name}' has {spec.vocabulary} ids; a bag's ids are float32, so at most {EXACT}"
            )
        nn.init.normal_(self.embed.weight[1:].detach(), std=SPREAD[pool])  # Not row 0, which is the padding's.
        self.dropout = nn.Dropout(dropout)
        self.pool = pool

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """(id, weight) (B, T, 2) -> pooled (B, D), tokens (B, T or 1, D)."""
        x = cleared(x, real_steps(x, mask))
        ids, weights = x[..., 0].long(), x[..., 1]  # (B, T) each
        mask = real_steps(ids, mask)
        weights = cleared(weights, mask)
        vectors = self.dropout(self.embed(ids))  # (B, T, D)
        pooled = (weights[:, None] @ vectors)[:, 0]  # (B, 1, T) @ (B, T, D): no weighted copy is kept for the gradient
        if self.pool == "mean":
            total = weights.abs().sum(1, keepdim=True)
            pooled = pooled / total.masked_fill(total == 0, 1.0)
        if self.steps:
            return Encoded(pooled, pooled[:, None], mask.any(1, keepdim=True), present)
        return Encoded(pooled, weights[..., None] * vectors, mask, present)
