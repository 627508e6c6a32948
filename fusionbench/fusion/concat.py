"""Concatenation: the encodings side by side, then an MLP that may mix them freely.

    y = MLP([LN(x_1); ...; LN(x_M)])     logits, (B, M*D) -> (B, C)

A linear map in the MLP's place would be additive and could not see interactions at all.

Parameters: (M*D+1)*W + (W+1)*C
FLOPs: 2*(M*D*W + W*C)
Source: Kiela et al. 2020, "The Hateful Memes Challenge", arXiv:2005.04790 (Concat BERT: an MLP on the concatenated
vectors of two encoders that it trains), and the authors' code, facebookresearch/mmf, mmf/models/fusions.py (ConcatBERT
and MLPClassifer), with whose numbers ours were compared.
Use: first: it is cheap, sees every interaction, and is hard to beat.
"""

from __future__ import annotations

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class ConcatFusion(FusionModule):
    """Concatenate, then classify by an MLP."""

    display = "Concat"
    family = "feature"
    paper, stage, interaction, fidelity = "kiela2020hateful", "feature", "full", "faithful"
    departure = (
        "any number of modalities, an absent one's vector is zero; our common MLP head has one hidden layer and no "
        "batch normalisation, which the authors' code has unless it is told otherwise"
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        pooled, _ = stacked(encoded)
        return Prediction(self.head(pooled.flatten(1)))
