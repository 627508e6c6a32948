"""Deep sets: the modalities as a set, one network for every element, and another for the sum.

    phi(x) = W_2 ReLU(W_1 x + b_1) + b_2     the same for every modality, (B, M, D) -> (B, M, H)
    y      = rho(LN(sum_m phi(x_m)))         rho an MLP; over the modalities that are present, (B, H) -> (B, C)

Whatever the order of the modalities, the answer is the same: which of them an encoding comes from is known only by what
its encoder writes into it. The size does not depend on their number.

Parameters: (D+1)*hidden + (hidden+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*(D*hidden + hidden*hidden) + hidden*W + W*C)
Source: Zaheer et al. 2017, "Deep Sets", arXiv:1703.06114: the sum decomposition rho(sum phi).
Use: with many modalities, or a changing set of them, whose order means nothing.
"""

from __future__ import annotations

from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class DeepSetsFusion(FusionModule):
    """rho(sum of phi), the set being the modalities."""

    display = "Deep Sets"
    family = "feature"
    paper, stage, interaction, fidelity = "zaheer2017deep", "feature", "full", "adapted"
    departure = "the elements of the set are the encodings of different modalities"
    own_width = "hidden"
    tunable = {"hidden": (32, 512, "log")}

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("deep_sets", "hidden", hidden, 1)
        super().__init__(setting)
        self.element = nn.Sequential(nn.Linear(setting.width, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, H) -> (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        return Prediction(self.head((self.element(x) * present[..., None]).sum(1)))
