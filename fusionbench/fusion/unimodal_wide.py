"""Wide unimodal: one modality alone with many more hidden units, to tell what fusing gains from what capacity gains.

    y = MLP(LN(x_m))     logits, (B, D) -> (B, C); hidden units: `widening` times W

Give `parameters`, those of the largest strategy that it is compared with (encoders and fusion), and the hidden layer is
as wide as that allows. A suite's `unimodal_wide` stands for one row per modality; the best of them is the reference.

Parameters: (D+1)*widening*W + (widening*W+1)*C
FLOPs: 2*(D*widening*W + widening*W*C)
Source: none.
Use: beside fusions that are large: what they gain over this row, they do not gain by size.
"""

from __future__ import annotations

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import unknown
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import wide_head


class WideUnimodal(FusionModule):
    """Classify from one modality by a wide MLP and never look at the others."""

    display = "Wide unimodal"
    family = "baseline"
    stage, representation, interaction, uses = "feature", "single", "none", "one"
    per_modality, widened_by = "modality", "widening"

    def __init__(self, setting: Setting, *, modality: str, widening: int = 8, parameters: int | None = None) -> None:
        """`parameters` of the whole model, its encoder included, decide the width in place of `widening`.

        Raises:
            UserError: no such modality, `widening` is below 1, or the encoder alone has more than `parameters`.
        """
        if modality not in setting.task.names:
            raise unknown("modality", modality, setting.task.names)
        self.modality = modality
        super().__init__(setting)
        self.head = wide_head("unimodal_wide", [setting.width], setting, self.encoders, widening, parameters)

    def modalities_used(self) -> tuple[str, ...]:
        """Only its own."""
        return (self.modality,)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) -> (B, C)."""
        return Prediction(self.head(encoded[self.modality].pooled))
