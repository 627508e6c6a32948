"""BLOCK: a bilinear form whose core tensor is block-diagonal: blocks of hidden units that interact among themselves.

    t_m = W_m x_m + b_m                            (B, D) -> (B, N, I), N blocks of I units
    z_n = sum_r prod_m (F_mn[r] t_mn + c_mn[r])    over the modalities that are present, (B, I) for each block n
    y   = MLP(LN([normalised(z_1); ...; normalised(z_N)]))     logits, (B, N*I) -> (B, C)

Every block's core tensor has slices of rank R. One block is a Tucker form, blocks of one unit a product of
projections. `normalised` is a signed square root, sign(z) sqrt(|z|), divided by the block's root mean square (the
paper: its length, which is sqrt(I) times as large); both are smoothed near zero by 1e-6, so that their slopes are
finite. For more than two modalities the product over all of them is ours. An absent modality leaves the product: z is
normalised anyway.

Parameters: M*(D+1)*blocks*inner + M*blocks*(inner+1)*rank*inner + (blocks*inner+1)*W + (W+1)*C
FLOPs: 2*(M*D*blocks*inner + M*blocks*inner*rank*inner + blocks*inner*W + W*C)
Source: Ben-younes et al. 2019, "BLOCK: Bilinear Superdiagonal Fusion for Visual Question Answering and Visual
Relationship Detection", arXiv:1902.00038, and the authors' code, Cadene/block.bootstrap.pytorch,
block/models/networks/fusions/fusions.py (Block), which has the biases and the normalisation and with whose numbers ours
were compared. It has 20 blocks of 80 units and rank 15, for inputs of 2048 and more; of two modalities, a rank above
I + 1 adds nothing.
Use: where a bilinear form should be wide and still small: blocks interact only within themselves.
"""

from __future__ import annotations

from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import Maps, power_normalised, product_of_present
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class BlockFusion(FusionModule):
    """Block-superdiagonal fusion (BLOCK), then an MLP."""

    display = "BLOCK"
    family = "bilinear"
    paper, stage, interaction, fidelity = "benyounes2019block", "feature", "full", "faithful"
    tunable = {"inner": (4, 64, "log"), "rank": (2, 16, "log")}
    departure = (
        "without its attention and dropout; our common MLP head in place of its linear classifier; more than two "
        "modalities are multiplied alike"
    )
    own_width = "inner"

    def __init__(self, setting: Setting, *, blocks: int = 8, inner: int = 16, rank: int = 8) -> None:
        at_least("block", "blocks", blocks, 1)
        at_least("block", "inner", inner, 1)
        at_least("block", "rank", rank, 1)
        super().__init__(setting)
        self.blocks, self.rank = blocks, rank
        count = len(setting.task.names)
        self.project = Maps(count, setting.width, blocks * inner)
        self.core = Maps(count * blocks, inner, rank * inner)
        self.head = mlp_head(blocks * inner, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, N*I) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """All blocks, normalised each: (B, M, D), bool (B, M) -> (B, N*I)."""
        parts = self.project(x).unflatten(2, (self.blocks, -1)).flatten(1, 2)  # (B, M*N, I)
        factors = self.core(parts).unflatten(1, (-1, self.blocks))  # (B, M, N, R*I)
        product = product_of_present(factors, present)  # (B, N, R*I)
        z = product.view(x.shape[0], self.blocks, self.rank, -1).sum(2)  # (B, N, I)
        return power_normalised(z).flatten(1)
