"""MLB: every modality squashed into one space, multiplied there entry by entry, and an MLP on the product.

    h_m = tanh(U_m x_m + b_m)     (B, D) -> (B, H)
    y   = MLP(LN(prod_m h_m))     logits, (B, H) -> (B, C)

The product of two is a bilinear form of rank 1 for each hidden unit; the MLP's first layer mixes them, as P does in
the paper. For more than two modalities the product over all of them is ours. Of an absent modality x_m is zero: what is
left of its factor is the learned tanh(b_m).

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Kim et al. 2017, "Hadamard Product for Low-rank Bilinear Pooling", arXiv:1610.04325, and the authors' code,
jnhwkim/MulLowBiVQA, netdef/MLB.lua, with whose numbers ours were compared. Its hidden width is 1200, for inputs of 2048
and 2400 numbers.
Use: as the cheapest of the bilinear forms.
"""

from __future__ import annotations

from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, product_of
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class MLBFusion(FusionModule):
    """Multimodal low-rank bilinear pooling (MLB), then an MLP."""

    display = "MLB"
    family = "bilinear"
    paper, stage, interaction, fidelity = "kim2017hadamard", "feature", "full", "faithful"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "without its attention and dropout; our common MLP head in place of its linear classifier; biases start at 1; "
        "more than two modalities are multiplied alike"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("mlb", "hidden", hidden, 1)
        super().__init__(setting)
        # From zero, the product of M small numbers vanishes: of five bags of tokens, at first, it is 1e-8.
        self.maps = Maps(len(setting.task.names), setting.width, hidden, constant=1.0)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        x, _ = stacked(encoded)
        return Prediction(self.head(self.joint(x)))

    def joint(self, x: Tensor) -> Tensor:
        """The product: (B, M, D), zeros where absent -> (B, H)."""
        return product_of(self.maps(x).tanh())
