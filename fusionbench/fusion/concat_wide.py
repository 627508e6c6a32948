"""Wide concatenation: `concat` with many more hidden units, to tell what a mechanism gains from what capacity gains.

    y = MLP([LN(x_1); ...; LN(x_M)])     logits, (B, M*D) -> (B, C); hidden units: `widening` times W

Give `parameters`, those of the largest strategy that it is compared with (encoders and fusion), and the hidden layer is
as wide as that allows. Where this baseline is as good, the other strategy's gain may be its size.

Parameters: (M*D+1)*widening*W + (widening*W+1)*C
FLOPs: 2*(M*D*widening*W + widening*W*C)
Source: none; a baseline.
Use: beside a strategy with many parameters: whether its gain is one of capacity.
"""

from __future__ import annotations

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import stacked, wide_head


class WideConcatFusion(FusionModule):
    """Concatenate, then classify by a wide MLP."""

    display = "Wide concat"
    family = "baseline"
    stage, interaction = "feature", "full"
    widened_by = "widening"

    def __init__(self, setting: Setting, *, widening: int = 8, parameters: int | None = None) -> None:
        """`parameters` of the whole model, encoders included, decide the width in place of `widening`.

        Raises:
            UserError: `widening` is below 1, or the encoders alone have more than `parameters`.
        """
        super().__init__(setting)
        inputs = [setting.width] * len(setting.task.names)
        self.head = wide_head("concat_wide", inputs, setting, self.encoders, widening, parameters)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        pooled, _ = stacked(encoded)
        return Prediction(self.head(pooled.flatten(1)))
