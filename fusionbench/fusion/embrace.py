"""EmbraceNet: every number of the joint vector is taken from one modality, drawn by lot in training.

    d_m = ReLU(W_m x_m + b_m)         docking, (B, M, D) -> (B, M, H)
    m_h ~ the modalities present      for each sample and hidden unit h on its own, all as probable
    z_h = d_{m_h, h}                  in training, (B, H);  afterwards its expectation, mean_m d_{m, h}
    y   = MLP(LN(z))                  logits, (B, C)

No unit can rely on one modality being there, nor on its being absent.

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Choi & Lee 2019, "EmbraceNet: A robust deep learning architecture for multimodal classification",
arXiv:1904.09078, and the authors' code, idearibosome/embracenet, embracenet_pytorch/embracenet.py: equal probabilities,
256 units.
Use: where modalities go missing at any time: training has seen every unit come from any of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, present_mean, stacked


class EmbraceNet(FusionModule):
    """Docking and embracement layers, then an MLP."""

    display = "EmbraceNet"
    family = "missing"
    paper, stage, interaction, fidelity = "choi2019embracenet", "feature", "full", "adapted"
    departure = "predicts from the expectation over the lots, so that a prediction can be repeated; our common MLP head"
    own_width = "hidden"
    tunable = {"hidden": (64, 1024, "log")}

    def __init__(self, setting: Setting, *, hidden: int = 256) -> None:
        at_least("embrace", "hidden", hidden, 1)
        super().__init__(setting)
        self.docking = nn.ModuleList(nn.Linear(setting.width, hidden) for _ in setting.task.names)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, H) -> (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        docked = each(self.docking, x).relu()
        joint = embraced(docked, present) if self.training else present_mean(docked, present)
        return Prediction(self.head(joint))


def embraced(docked: Tensor, present: Tensor) -> Tensor:
    """Each unit from a present modality drawn by lot: (B, M, H), bool (B, M) -> (B, H)."""
    # The largest of equal draws is anyone's, exactly; cumulated probabilities may round past the last modality.
    lots = torch.rand(docked.shape, device=docked.device).masked_fill(~present[..., None], -1)
    winner = lots.argmax(1, keepdim=True)  # (B, 1, H)
    return (docked * present[..., None]).gather(1, winner).squeeze(1)
