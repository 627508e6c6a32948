"""Late Transformer: one token for each modality and a class token attend to one another.

    z = [c; P_1 x_1 + p_1; ...; P_M x_M + p_M]      c, P_m, p_m learned, (B, M+1, D)
    z = z + attention(LN(z));   z = z + W_2 GELU(W_1 LN(z))       in each layer, over the modalities that are present
    y = MLP(LN(LN(z)[0]))                    of the class token, (B, D) -> (B, C)

p_m says of which modality a token is. Without P_m it would be `early_transformer` wherever each modality has one step.

Parameters: M*(D+1)*D + layers*(12*D+11)*D + 3*D + (D+1)*W + (W+1)*C
FLOPs: 2*M*D*D + (layers-1)*(24*(M+1)*D*D + 4*(M+1)*(M+1)*D) + (4*(M+1)+20)*D*D + 4*(M+1)*D + 2*(D*W + W*C)
Source: Rheude et al. 2025, "Fusion or Confusion? Multimodal Complexity Is Not All You Need", arXiv:2512.22991: SimBaMM,
the simple baseline that more complex methods did not reliably beat: a linear projection of each modality's encoding to
a common width, then a Transformer, with one token a modality in its CLS form. Layers, heads, where the norm stands and
that there is no dropout are ours.
Use: as the attention baseline on one vector for each modality; a simple one that is hard to beat.
"""

from __future__ import annotations

from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._attention import ClassToken
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, each, heads_divide, mlp_head, stacked


class LateTransformerFusion(FusionModule):
    """A small Transformer over the modalities' vectors and a class token, then an MLP."""

    display = "Late Transformer"
    family = "token"
    paper, stage, interaction, fidelity = "rheude2025fusion", "token", "full", "adapted"
    tunable = {"layers": (1, 4), "dropout": (0.0, 0.5)}
    departure = (
        "built from the paper's abstract and accounts of it; its layer sizes, dropout and tuning were not seen; our "
        "common MLP head"
    )

    def __init__(self, setting: Setting, *, heads: int = 4, layers: int = 2, dropout: float = 0.0) -> None:
        at_least("late_transformer", "layers", layers, 1)
        heads_divide("late_transformer", heads, setting.width)
        below_one("late_transformer", "dropout", dropout)
        super().__init__(setting)
        self.projections = nn.ModuleList(nn.Linear(setting.width, setting.width) for _ in setting.task.names)
        self.transformer = ClassToken(setting.width, heads, layers, dropout)
        self.head = mlp_head(setting.width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, D) -> (B, C)."""
        pooled, present = stacked(encoded)
        return Prediction(self.head(self.transformer(each(self.projections, pooled), present)))
