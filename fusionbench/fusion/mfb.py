"""MFB: bilinear forms of rank k, as a product of projections that is summed in groups of k and normalised.

    f_m = U_m x_m + b_m                    (B, D) -> (B, H, k), for k factors
    z   = sum_k prod_m f_m                 over the modalities that are present, (B, H)
    y   = MLP(LN(normalised(z)))           logits, (B, C)

`normalised` is a signed square root, sign(z) sqrt(|z|), divided by its root mean square (the paper: its length, which
is sqrt(H) times as large); both are smoothed near zero by 1e-6, so that their slopes are finite. For more than
two modalities the product over all of them is ours. An absent modality leaves the product: z is normalised anyway.

Parameters: M*(D+1)*hidden*factors + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden*factors + hidden*W + W*C)
Source: Yu et al. 2017, "Multi-modal Factorized Bilinear Pooling with Co-Attention Learning for Visual Question
Answering", arXiv:1708.01471, and its group's code, MILVLG/openvqa, openvqa/models/mfb/mfb.py (MFB), which has the
biases and k = 5 too and with whose numbers ours were compared. Its output has 1000 entries, for inputs of 2048.
Use: where a bilinear form should be smoothed by pooling and its output kept to one scale.
"""

from __future__ import annotations

from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, power_normalised, product_of_present
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class MFBFusion(FusionModule):
    """Multimodal factorized bilinear pooling (MFB), then an MLP."""

    display = "MFB"
    family = "bilinear"
    paper, stage, interaction, fidelity = "yu2017multimodal", "feature", "full", "faithful"
    tunable = {"hidden": (32, 512, "log"), "factors": (1, 10)}
    departure = (
        "without its co-attention and dropout; our common MLP head in place of its linear classifier; more than two "
        "modalities are multiplied alike"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128, factors: int = 5) -> None:
        at_least("mfb", "hidden", hidden, 1)
        at_least("mfb", "factors", factors, 1)
        super().__init__(setting)
        self.factors = factors
        self.maps = Maps(len(setting.task.names), setting.width, hidden * factors)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """Pooled and normalised: (B, M, D), bool (B, M) -> (B, H)."""
        product = product_of_present(self.maps(x), present)  # (B, H*k)
        return power_normalised(product.view(x.shape[0], -1, self.factors).sum(-1))
