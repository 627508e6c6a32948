"""FiLM: every modality's features are scaled and shifted, unit by unit, as the other modalities say.

    h_m                = W_m x_m + b_m                                   features of modality m, (B, H)
    [dgamma_n; beta_n] = G_n x_n + c_n                                   what modality n says, (B, 2H)
    z_m                = ReLU((1 + sum_n dgamma_n) * h_m + sum_n beta_n)     over n != m that are present, (B, H)
    y                  = MLP(LN(sum_m z_m))                              over the modalities that are present, (B, C)

The scale is 1 plus what is learned, so that features pass unchanged where nothing is said; so they do where a modality
is alone.

Parameters: 3*M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(3*M*D*hidden + hidden*W + W*C)
Source: Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer", arXiv:1709.07871: gamma * h +
beta before a ReLU, where a question conditions a picture's feature maps; and the authors' code, ethanjperez/film,
vr/models/filmed_net.py (FiLMedResBlock), with whose numbers a modulated modality was compared.
Use: where one modality says how another is to be read, such as a question about a picture.
"""

from __future__ import annotations

from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, stacked


class FiLMFusion(FusionModule):
    """Feature-wise linear modulation of every modality by the others, then an MLP on the sum."""

    display = "FiLM"
    family = "feature"
    paper, stage, interaction, fidelity = "perez2018film", "feature", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "each modality is modulated by all others, their scales and shifts added, in place of a picture by a question; "
        "one layer on encoder outputs in place of several on feature maps after batch normalisation"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("film", "hidden", hidden, 1)
        super().__init__(setting)
        self.features = nn.ModuleList(nn.Linear(setting.width, hidden) for _ in setting.task.names)
        self.generators = nn.ModuleList(nn.Linear(setting.width, 2 * hidden) for _ in setting.task.names)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        return Prediction(self.head(self.joint(*stacked(encoded))))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """The sum of the modulated features: (B, M, D), bool (B, M) -> (B, H)."""
        here = present[..., None]
        said = each(self.generators, x) * here  # (B, M, 2H)
        scale, shift = (said.sum(1, keepdim=True) - said).chunk(2, -1)  # By all but m itself: (B, M, H) each.
        modulated = ((1 + scale) * each(self.features, x) + shift).relu()
        return (modulated * here).sum(1)
