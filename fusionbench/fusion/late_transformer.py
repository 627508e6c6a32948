"""Late Transformer: one token for each modality and a class token attend to one another.

    z = [c; x_1 + e_1; ...; x_M + e_M]       c, e_m learned, (B, M+1, D)
    z = z + attention(LN(z));   z = z + W_2 GELU(W_1 LN(z))       in each layer, over the modalities that are present
    y = MLP(LN(z)[0])                        of the class token, (B, D) -> (B, C)

Parameters: M*D + layers*(12*D+11)*D + 3*D + (D+1)*W + (W+1)*C
FLOPs: (layers-1)*(24*(M+1)*D*D + 4*(M+1)*(M+1)*D) + (4*(M+1)+20)*D*D + 4*(M+1)*D + 2*(D*W + W*C)
Source: Rheude et al. 2025, "Fusion or Confusion? Multimodal Complexity Is Not All You Need", arXiv:2512.22991: SimBaMM,
the simple baseline that more complex methods did not reliably beat. Its abstract says a late-fusion Transformer over
encoders; layers, heads and where the norm stands are ours.
Use: as the attention baseline on one vector for each modality; a simple one that is hard to beat.
"""

from __future__ import annotations

from fusionbench.core.batch import Encoded
from fusionbench.fusion._blocks import ClassToken, at_least, heads_divide, mlp_head, small_normal, stacked
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class LateTransformerFusion(FusionModule):
    """A small Transformer over the modalities' vectors and a class token, then an MLP."""

    family = "token"
    paper, stage, interaction, fidelity = "rheude2025fusion", "token", "full", "inspired"
    departure = "built from the paper's abstract; its layer sizes and tuning were not seen"

    def __init__(self, setting: Setting, *, heads: int = 4, layers: int = 2) -> None:
        at_least("late_transformer", "layers", layers, 1)
        heads_divide("late_transformer", heads, setting.width)
        super().__init__(setting)
        self.modality_embedding = small_normal(len(setting.task.names), setting.width)
        self.transformer = ClassToken(setting.width, heads, layers, setting.dropout)
        self.head = mlp_head(setting.width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, D) -> (B, C)."""
        pooled, present = stacked(encoded)
        return Prediction(self.head(self.transformer(pooled + self.modality_embedding, present)))
