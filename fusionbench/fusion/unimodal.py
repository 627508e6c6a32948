"""Unimodal: one modality alone, the baseline that every fusion has to beat.

    y = MLP(LN(x_m))     logits, (B, D) -> (B, C)

Parameters: (D+1)*W + (W+1)*C
FLOPs: 2*(D*W + W*C)
Source: none; a suite's `unimodal` stands for one row per modality.
Use: always: the best of these rows is what a fusion has to beat.
"""

from __future__ import annotations

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import unknown
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head


class Unimodal(FusionModule):
    """Classify from one modality and never look at the others."""

    display = "Unimodal"
    family = "baseline"
    stage, representation, interaction, uses = "feature", "single", "none", "one"
    per_modality = "modality"

    def __init__(self, setting: Setting, *, modality: str) -> None:
        if modality not in setting.task.names:
            raise unknown("modality", modality, setting.task.names)
        self.modality = modality
        super().__init__(setting)
        self.head = mlp_head(setting.width, setting)

    def modalities_used(self) -> tuple[str, ...]:
        """Only its own."""
        return (self.modality,)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) -> (B, C)."""
        return Prediction(self.head(encoded[self.modality].pooled))
