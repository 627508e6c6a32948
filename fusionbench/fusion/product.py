"""Product: every modality projected into one space, multiplied there unit by unit, and an MLP on the product.

    h = prod_m tanh(W_m x_m + b_m)     (B, M, D) -> (B, H)
    y = MLP(LN(h))                     logits, (B, C)

Every modality is projected, as in the authors' code. The biases start at 1, theirs around 0: a product of M factors
around 0 vanishes, and its gradient with it; of factors around tanh(1) it starts near a constant plus a linear map of
every modality plus their products. With our common head `mlb` is the same formula, from other initial weights. Of an
absent modality x_m is zero: what is left of its factor is the learned tanh(b_m).

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Antol et al. 2015, "VQA: Visual Question Answering", arXiv:1505.00468 (deeper LSTM Q + I: picture and question,
both as vectors of one length, multiplied element by element, then an MLP), and the authors' code,
GT-Vision-Lab/VQA_LSTM_CNN, misc/netdef.lua (AxB), with whose numbers ours were compared.
Use: where modalities have to agree: each can switch a feature of the other off.
"""

from __future__ import annotations

from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import product_of
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, stacked


class ProductFusion(FusionModule):
    """Multiply projections, then classify by an MLP."""

    display = "Product"
    family = "feature"
    paper, stage, interaction, fidelity = "antol2015vqa", "feature", "full", "faithful"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "any number of modalities, any of them missing; biases start at 1; our common MLP head, with its dropout"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("product", "hidden", hidden, 1)
        super().__init__(setting)
        self.projections = nn.ModuleList(_factor(setting.width, hidden) for _ in setting.task.names)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, H) -> (B, H) -> (B, C)."""
        x, _ = stacked(encoded)
        return Prediction(self.head(product_of(each(self.projections, x).tanh())))


def _factor(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.ones_(layer.bias)
    return layer
