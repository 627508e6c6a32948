"""Tensor fusion: the outer product of all modalities, so that the MLP sees every product of their features.

    h_m = relu(W_m x_m + b_m)                  (B, D) -> (B, H)
    z   = [h_1; 1] (x) ... (x) [h_M; 1]        (B, (H+1)^M); the ones keep the products of fewer modalities
    y   = MLP(LN(z))                           logits, (B, C)

An absent modality's h_m is zero: what is left is the product of the others, beside its 1.

The product grows fast, so H is small. By default it is the largest with at most 4096 entries: 63, 15, 7, 4 for 2, 3,
4, 5 modalities. Outer products are not matrix products: they are not counted as FLOPs.

Parameters: M*(D+1)*hidden + ((hidden+1)**M + 1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + (hidden+1)**M*W + W*C)
Source: Zadeh et al. 2017, "Tensor Fusion Network for Multimodal Sentiment Analysis", arXiv:1707.07250. Its widths for
three modalities are 128, 32 and 32. The authors' own repository, A2Zadeh/TensorFusionNetwork, is no longer kept and
names Justin1904/TensorFusionNetworks, model.py (TFN), in its place: ours were compared with its numbers.
Use: with two or three modalities and small encodings, where every product of features may matter.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import MOST, Maps, outer_product, product_width
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class TensorFusion(FusionModule):
    """Tensor fusion network (TFN), then an MLP."""

    display = "TFN"
    family = "bilinear"
    paper, stage, interaction, fidelity = "zadeh2017tensor", "feature", "full", "faithful"
    tunable = {"hidden": [0, 4, 8]}
    departure = (
        "our encoders and one ReLU layer are its embedding networks, of one width for all, without the batch "
        "normalisation of the code; our common MLP head follows, of one hidden layer"
    )

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Too many modalities: one number of each already makes too large a product."""
        count = len(setting.task.names)
        return f"an outer product of {count} modalities has at least {2**count} entries" if 2**count > MOST else ""

    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 0) -> None:
        """`hidden` is the width of each modality in the product; 0: the largest with at most 4096 entries.

        Raises:
            UserError: `hidden` is negative, or the product has too many entries.
        """
        count = len(setting.task.names)
        hidden = product_width("tensor", hidden, count, ones=1)
        super().__init__(setting)
        self.maps = Maps(count, setting.width, hidden)
        self.head = mlp_head((hidden + 1) ** count, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, (H+1)^M) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """The outer product: (B, M, D), bool (B, M) -> (B, (H+1)^M), the first modality's index slowest."""
        h = F.pad(self.maps(x).relu() * present[..., None], (0, 1), value=1.0)  # (B, M, H+1)
        return outer_product(h)
