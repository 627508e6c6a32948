"""Gated by one: a single modality says which features of the others pass.

    g = sigmoid(U x_k + c)                what modality k lets pass, (B, D) -> (B, H)
    v = sum_{m != k} (V_m x_m + b_m)      features of the others, over those that are present, (B, H)
    y = MLP(LN(g * v))                    logits, (B, H) -> (B, C)

k is the modality that the option `gate` names; a suite's `gated_by_one` stands for one row per gate. For more than two
modalities the sum is ours. Where k is absent everything passes, g = 1; where all others are, the gate itself is what
the MLP sees, v = 1.

Parameters: M*(D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*hidden + hidden*W + W*C)
Source: Kiela et al. 2018, "Efficient Large-Scale Multi-Modal Classification", arXiv:1802.02892 (gated fusion: text
gates the picture, or the other way round), and others' code of it, GeWu-Lab/OGM-GE_CVPR2022.
Use: where one modality says when the other is to be believed; its rows show which.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import unknown
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head


class GatedByOne(FusionModule):
    """One modality gates the sum of the others, then an MLP."""

    display = "Gated"
    family, per_modality = "feature", "gate"
    paper, stage, interaction, fidelity = "kiela2018efficient", "feature", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "compared with the paper's formula alone, since no code of it is public; of more than two modalities the one "
        "named gates the sum of the others; any may be missing; our common MLP head in place of its linear classifier"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, gate: str, hidden: int = 128) -> None:
        """`gate` is the modality that gates.

        Raises:
            UserError: the task has no such modality, or `hidden` is below 1.
        """
        names = setting.task.names
        at_least("gated_by_one", "hidden", hidden, 1)
        if gate not in names:
            raise unknown("modality", gate, names)
        super().__init__(setting)
        self.gating = gate
        self.projections = nn.ModuleDict({name: nn.Linear(setting.width, hidden) for name in names})
        self.head = mlp_head(hidden, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Nothing to gate."""
        return "" if len(setting.task.names) > 1 else "one modality gates another; this task has one only"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> gate (B, H) and the sum of the others (B, H) -> (B, C)."""
        here = {name: one.present[:, None] for name, one in encoded.items()}
        h = {name: self.projections[name](one.pooled) for name, one in encoded.items()}
        gate = h.pop(self.gating).sigmoid()
        gate = torch.where(here.pop(self.gating), gate, torch.ones_like(gate))
        value = torch.stack([one * here[name] for name, one in h.items()]).sum(0)
        anyone = torch.stack(list(here.values())).any(0)  # (B, 1)
        return Prediction(self.head(gate * torch.where(anyone, value, torch.ones_like(value))))
