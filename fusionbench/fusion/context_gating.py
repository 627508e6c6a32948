"""Context gating: the joint features switch one another on and off.

    h = W [x_1; ...; x_M] + b         joint features, (B, M*D) -> (B, H)
    z = sigmoid(V h + c) * h          each unit gated by all of them, (B, H)
    y = MLP(z)                        logits, (B, C)

An absent modality adds nothing to h; the bias b belongs to no modality.

Parameters: (M*D+1)*hidden + (hidden+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*hidden + hidden*W + W*C)
Source: Miech et al. 2017, "Learnable pooling with Context Gating for video classification", arXiv:1706.06905. The
authors' code may normalise the gate's input over the batch in place of its bias c; their form without that is ours.
"""

from __future__ import annotations

from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._blocks import at_least, mlp_head, stacked
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class ContextGating(FusionModule):
    """A gate on the joint features, then an MLP."""

    paper, stage, interaction, fidelity = "miech2017learnable", "feature", "full", "adapted"
    departure = "gates the features only, not the class scores as well; an MLP in place of a mixture of experts"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("context_gating", "hidden", hidden, 1)
        super().__init__(setting)
        self.features = nn.Linear(len(setting.task.names) * setting.width, hidden)
        self.gate = nn.Linear(hidden, hidden)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        x, _ = stacked(encoded)
        return Prediction(self.head(self.gated(x)))

    def gated(self, x: Tensor) -> Tensor:
        """Features times their gates: (B, M, D), zeros where absent -> (B, H)."""
        h = self.features(x.flatten(1))
        return self.gate(h).sigmoid() * h
