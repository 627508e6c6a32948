"""MUTAN: a bilinear form in Tucker's decomposition, the slices of its core tensor of rank R.

    t_m = tanh(W_m x_m + b_m)                     (B, D) -> (B, H)
    z   = sum_r prod_m (F_m[r] t_m + c_m[r])      (B, H) -> (B, H)
        = K . ([t_1; 1] (x) ... (x) [t_M; 1])     K: the core tensor, each of its H slices a sum of R outer products
    y   = MLP(LN(z))                              logits, (B, C)

The MLP's first layer is the decomposition's last factor. For more than two modalities the product over all of them is
ours. Of an absent modality t_m is zero: what is left of [t_m; 1] is its 1, and of its factor the learned c_m.

Parameters: M*(D+1)*hidden + M*(hidden+1)*rank*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + M*hidden*rank*hidden + hidden*W + W*C)
Source: Ben-younes et al. 2017, "MUTAN: Multimodal Tucker Fusion for Visual Question Answering", arXiv:1705.06676, and
the authors' code, Cadene/vqa.pytorch, vqa/models/fusion.py (MutanFusion), which has the biases and R = 10 too and with
whose numbers ours were compared. Its core is 360 wide, for inputs of 2048 and 2400 numbers.
Use: where a bilinear form needs more than one rank, at a size that its rank sets.
"""

from __future__ import annotations

from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, product_of
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class MutanFusion(FusionModule):
    """Multimodal Tucker fusion (MUTAN), then an MLP."""

    display = "MUTAN"
    family = "bilinear"
    paper, stage, interaction, fidelity = "benyounes2017mutan", "feature", "full", "faithful"
    tunable = {"rank": (1, 20, "log"), "hidden": (16, 256, "log")}
    departure = (
        "without its attention and dropout; our common MLP head in place of its linear classifier; starts near the sum "
        "over modalities; more than two modalities are multiplied alike"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, rank: int = 10, hidden: int = 64) -> None:
        at_least("mutan", "rank", rank, 1)
        at_least("mutan", "hidden", hidden, 1)
        super().__init__(setting)
        self.rank = rank
        count = len(setting.task.names)
        self.project = Maps(count, setting.width, hidden)
        # The constants' product starts as 1/R: z is 1 plus maps of each modality plus products. From zero it vanishes.
        scale = rank ** (-1 / count)
        self.core = Maps(count, hidden, rank * hidden, scale=scale, constant=scale)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """The Tucker form: (B, M, D), bool (B, M) -> (B, H)."""
        squashed = self.project(x).tanh() * present[..., None]  # (B, M, H)
        return product_of(self.core(squashed)).view(x.shape[0], self.rank, -1).sum(1)
