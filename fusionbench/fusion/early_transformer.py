"""Early Transformer: the steps of all modalities lie in one sequence, and one Transformer reads it.

    z = [c; x_1 + e_1; ...; x_M + e_M]       all steps of each modality; c, e_m learned, (B, 1 + T_1 + ... + T_M, D)
    z = z + attention(LN(z));   z = z + W_2 GELU(W_1 LN(z))       in each layer, over the real steps
    y = MLP(LN(LN(z)[0]))                    of the class token, (B, D) -> (B, C)

Parameters: M*D + layers*(12*D+11)*D + 3*D + (D+1)*W + (W+1)*C
FLOPs: (layers-1)*(24*(M*T+1)*D*D + 4*(M*T+1)*(M*T+1)*D) + (4*(M*T+1)+20)*D*D + 4*(M*T+1)*D + 2*(D*W + W*C)
Source: Kim et al. 2021, "ViLT: Vision-and-Language Transformer Without Convolution or Region Supervision",
arXiv:2102.03334: embeddings that say which modality a step is of, one sequence, a class token, the norm first;
there the class token is the one of the text, here it is of no modality. Norms and dropout as in the authors' code,
dandelin/ViLT, vilt/modules/vilt_module.py and vilt/config.py.
Use: where steps of different modalities speak of the same thing and there are few enough of them to let all attend to
all.
"""

from __future__ import annotations

import torch

from fusionbench.core.batch import Encoded
from fusionbench.fusion._attention import ClassToken
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, heads_divide, mlp_head, small_normal


class EarlyTransformerFusion(FusionModule):
    """One Transformer over the steps of all modalities and a class token, then an MLP."""

    display = "Early Transformer"
    family = "token"
    paper, stage, interaction, fidelity = "kim2021vilt", "token", "full", "adapted"
    tunable = {"layers": (1, 4), "dropout": (0.0, 0.5)}
    departure = (
        "on the encoders' steps in place of embedded words and patches, so without positions, and no pretraining; "
        "2 layers in place of 12; our common MLP head"
    )

    def __init__(self, setting: Setting, *, heads: int = 4, layers: int = 2, dropout: float = 0.1) -> None:
        at_least("early_transformer", "layers", layers, 1)
        heads_divide("early_transformer", heads, setting.width)
        below_one("early_transformer", "dropout", dropout)
        super().__init__(setting)
        self.modality_embedding = small_normal(len(setting.task.names), setting.width)
        self.transformer = ClassToken(setting.width, heads, layers, dropout, eps=1e-6)
        self.head = mlp_head(setting.width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> (B, D) -> (B, C)."""
        named = zip(encoded.values(), self.modality_embedding, strict=True)
        steps = torch.cat([one.tokens + embedding for one, embedding in named], 1)  # (B, T_1 + ... + T_M, D)
        mask = torch.cat([one.mask for one in encoded.values()], 1)
        return Prediction(self.head(self.transformer(steps, mask)))
