"""Bilinear: the outer product of all modalities' projections, so that the MLP sees nothing but products of features.

    h_m = U_m x_m + b_m           (B, D) -> (B, H)
    z   = h_1 (x) ... (x) h_M     every product of one number of each, (B, H^M)
    y   = MLP(LN(z))              logits, (B, C)

What a modality says alone it says through the biases of the others: `tensor` appends a 1 to each for that, after a
ReLU. They start at 0, so of many modalities the product starts small; from 1, thousands of entries would start alike,
and one step of Adam would move them all together. An absent modality's h_m is a vector of ones: what is left is the
product of the others, repeated.

The product grows fast, so H is small. By default it is the largest with at most 4096 entries: 64, 16, 8, 5 for 2, 3,
4, 5 modalities. Outer products are not matrix products: they are not counted as FLOPs.

Parameters: M*(D+1)*hidden + (hidden**M + 1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden**M*W + W*C)
Source: Kiela et al. 2018, "Efficient Large-Scale Multi-Modal Classification", arXiv:1802.02892 (bilinear fusion).
Use: as the plain outer product that the other bilinear forms make affordable; for small encodings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, outer_product, product_width
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class BilinearFusion(FusionModule):
    """The outer product of projections, then an MLP."""

    display = "Bilinear"
    family = "bilinear"
    paper, stage, interaction, fidelity = "kiela2018efficient", "feature", "full", "adapted"
    tunable = {"hidden": [0, 4, 8]}
    departure = (
        "compared with the paper's formula alone, since no code of it is public; reads encoder outputs through narrow "
        "projections with biases, so that the product is affordable, in place of whole vectors; of more than two "
        "modalities the product of all; any may be missing; our common MLP head in place of its linear classifier"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 0) -> None:
        """`hidden` is the width of each modality in the product; 0: the largest with at most 4096 entries.

        Raises:
            UserError: `hidden` is negative, or the product has too many entries.
        """
        count = len(setting.task.names)
        hidden = product_width("bilinear", hidden, count)
        super().__init__(setting)
        self.maps = Maps(count, setting.width, hidden)
        self.head = mlp_head(hidden**count, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H^M) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """The outer product: (B, M, D), bool (B, M) -> (B, H^M), the first modality's index slowest."""
        h = self.maps(x)
        return outer_product(torch.where(present[..., None], h, torch.ones_like(h)))
