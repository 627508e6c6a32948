"""MFH: a cascade of MFB blocks, each multiplied by the product of those before it; their outputs side by side.

    f_i = prod_m (U_im x_m + b_im)         block i of P, over the modalities that are present, (B, D) -> (B, H, k)
    z_i = sum_k f_1 * ... * f_i            degree i in every modality, (B, H)
    y   = MLP([LN(normalised(z_1)); ...; LN(normalised(z_P))])     logits, (B, P*H) -> (B, C)

`normalised` is a signed square root, sign(z) sqrt(|z|), divided by its root mean square (the paper: its length, which
is sqrt(H) times as large); both are smoothed near zero by 1e-6, so that their slopes are finite. For more than
two modalities the product over all of them is ours. An absent modality leaves every product: they are normalised.

Parameters: order*M*(D+1)*hidden*factors + (order*hidden+1)*W + (W+1)*C
FLOPs: 2*(order*M*D*hidden*factors + order*hidden*W + W*C)
Source: Yu et al. 2018, "Beyond Bilinear: Generalized Multimodal Factorized High-Order Pooling for Visual Question
Answering", arXiv:1708.03619, and its group's code, MILVLG/openvqa, openvqa/models/mfb/mfb.py (MFB, two of them), which
has the biases, k = 5 and two blocks too and with whose numbers ours were compared. Its blocks have 1000 outputs each,
for inputs of 2048.
Use: where products of higher order than two may matter, at twice the cost of mfb.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, power_normalised, product_of_present
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class MFHFusion(FusionModule):
    """Multimodal factorized high-order pooling (MFH), then an MLP."""

    display = "MFH"
    family = "bilinear"
    paper, stage, interaction, fidelity = "yu2018beyond", "feature", "full", "faithful"
    tunable = {"hidden": (32, 512, "log"), "order": (1, 3)}
    departure = (
        "without its co-attention and dropout; our common MLP head in place of its linear classifier; more than two "
        "modalities are multiplied alike"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128, factors: int = 5, order: int = 2) -> None:
        at_least("mfh", "hidden", hidden, 1)
        at_least("mfh", "factors", factors, 1)
        at_least("mfh", "order", order, 1)
        super().__init__(setting)
        self.factors = factors
        count, outputs = len(setting.task.names), hidden * factors
        self.blocks = nn.ModuleList(Maps(count, setting.width, outputs) for _ in range(order))
        self.head = mlp_head([hidden] * order, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, P*H) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """All blocks, pooled and normalised each: (B, M, D), bool (B, M) -> (B, P*H)."""
        products = accumulate((product_of_present(maps(x), present) for maps in self.blocks), torch.mul)  # (B, H*k)
        pooled = [z.view(x.shape[0], -1, self.factors).sum(-1) for z in products]  # (B, H)
        return torch.cat([power_normalised(z) for z in pooled], 1)
