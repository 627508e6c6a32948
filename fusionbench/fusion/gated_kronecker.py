"""Pathomic Fusion: every modality's features are gated by all modalities, then multiplied with all of the others'.

    x'_m = LN(x_m)
    h_m = ReLU(A_m x'_m + a_m)                          features, (B, D) -> (B, H)
    g_m = sigmoid(G_m [x'_1; ...; x'_M] + c_m)          their gate, from all modalities, (B, H)
    o_m = ReLU(O_m (g_m * h_m) + b_m)                   (B, H)
    k   = [o_1; 1] (x) ... (x) [o_M; 1]                 Kronecker product, (B, (H+1)^M)
    u   = ReLU(U k + d)                                 (B, mixed)
    z   = ReLU(Z [u; o_1; 1; ...; o_M; 1] + e)          (B, mixed)
    y   = MLP(LN(z))                                    logits, (B, C)

LN has no weights: features are to be as large as the 1 beside them, whatever the size of the encodings. Dropout of its
own acts on every o_m, on k, on u and on z. An absent modality is zero in the gates, and so is its o_m: what is left of
the product is that of the others, beside its 1.

By default H is the largest with at most 4096 products: 63, 15, 7, 4 for 2, 3, 4, 5 modalities; the paper has 32.
Kronecker products are not matrix products: they are not counted as FLOPs.

Parameters: M*(D+1)*hidden + M*(M*D+1)*hidden + M*(hidden+1)*hidden + ((hidden+1)**M+1)*mixed
    + (mixed+M*(hidden+1)+1)*mixed + (mixed+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + M*M*D*hidden + M*hidden**2 + (hidden+1)**M*mixed + (mixed+M*(hidden+1))*mixed + mixed*W + W*C)
Source: Chen et al. 2020, "Pathomic Fusion: An Integrated Framework for Fusing Histopathology and Genomic Features for
Cancer Diagnosis and Prognosis", arXiv:1912.08937, and the authors' code mahmoodlab/PathomicFusion, fusion.py
(BilinearFusion with use_bilinear=0; with 1, its default, a gate is a bilinear form of two modalities).
Use: with two or three modalities, where products of features matter, but not all features of each sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import MOST, Maps, outer_product, product_width
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, below_one, mlp_head, stacked


class GatedKronecker(FusionModule):
    """Kronecker product of gated features (Pathomic Fusion), then an MLP."""

    display = "Pathomic Fusion"
    family = "bilinear"
    paper, stage, interaction, fidelity = "chen2020pathomic", "feature", "full", "adapted"
    tunable = {"mixed": (16, 256, "log"), "dropout": (0.0, 0.5)}
    departure = (
        "gates are linear in the concatenation of all modalities, an option of the code, whose default is a bilinear "
        "form of two; encodings are normalised; any number of modalities, any of them missing; our common MLP head"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 0, mixed: int = 64, dropout: float = 0.25) -> None:
        """`hidden` is the width of each modality in the product (0: as above), `mixed` that of what is made of it.

        Raises:
            UserError: `hidden` is negative or the product has too many entries, `mixed` is below 1, or `dropout` is no
                fraction.
        """
        count, width = len(setting.task.names), setting.width
        hidden = product_width("gated_kronecker", hidden, count, ones=1)
        at_least("gated_kronecker", "mixed", mixed, 1)
        below_one("gated_kronecker", "dropout", dropout)
        super().__init__(setting)
        self.as_read = HeadNorm([width], setting)
        self.features, self.gates = Maps(count, width, hidden), Maps(count, count * width, hidden)
        self.outputs = Maps(count, hidden, hidden)
        self.mix = nn.Linear((hidden + 1) ** count, mixed)
        self.join = nn.Linear(mixed + count * (hidden + 1), mixed)
        for layer in (self.mix, self.join):  # As the authors do, and Maps does: no constant beside the signal.
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
        self.dropout = nn.Dropout(dropout)
        self.head = mlp_head(mixed, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Too many modalities: one number of each already makes too large a product."""
        count = len(setting.task.names)
        return f"a Kronecker product of {count} modalities has at least {2**count} entries" if 2**count > MOST else ""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, mixed) -> (B, C)."""
        x, present = stacked(encoded)
        return Prediction(self.head(self.joint(self.as_read(x), present)))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """What the head reads: (B, M, D), bool (B, M) -> (B, mixed)."""
        together = x.flatten(1)[:, None].expand(-1, x.shape[1], -1)  # (B, M, M*D)
        gated = self.gates(together).sigmoid() * self.features(x).relu()
        own = self.dropout(self.outputs(gated).relu()) * present[..., None]  # (B, M, H)
        factors = F.pad(own, (0, 1), value=1.0)  # (B, M, H+1)
        mixed = self.dropout(self.mix(self.dropout(outer_product(factors))).relu())
        joined: Tensor = self.dropout(self.join(torch.cat([mixed, factors.flatten(1)], 1)).relu())
        return joined
