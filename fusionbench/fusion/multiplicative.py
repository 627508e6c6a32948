"""Multiplicative interactions: a full bilinear form of every pair of modalities, plus a linear map of each.

    h = sum_{m<n} x_m' T_mn x_n + sum_m U_m x_m + b     T_mn: (H, D, D), one weight for each pair of numbers; (B, H)
    y = MLP(LN(h))                                      logits, (B, C)

An absent modality's terms are zero; the bias b belongs to no modality. The tensors hold M(M-1)/2 * D*D*H numbers: hence
the small default of `hidden`.

Parameters: M*(M-1)//2*D*D*hidden + (M*D+1)*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*(M-1)//2*(D*D*hidden + D*hidden) + M*D*hidden + hidden*W + W*C)
Source: Jayakumar et al. 2020, "Multiplicative Interactions and Where to Find Them", ICLR: f(x, z) = z' T x + z' U + V x
+ b of two inputs. For more than two, the sum over pairs is ours.
Use: where one modality should choose the linear map that the other goes through, and the parameters can be paid.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class MultiplicativeFusion(FusionModule):
    """The multiplicative interaction layer over pairs of modalities, then an MLP."""

    display = "Multiplicative"
    family = "feature"
    paper, stage, interaction, fidelity = "jayakumar2020multiplicative", "feature", "full", "adapted"
    tunable = {"hidden": (8, 128, "log")}
    departure = (
        "compared with the paper's formula alone, since no code of it is public; more than two modalities interact in "
        "pairs; our common MLP head follows"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 32) -> None:
        at_least("multiplicative", "hidden", hidden, 1)
        super().__init__(setting)
        width = setting.width
        self.pairs = list(combinations(range(len(setting.task.names)), 2))
        self.tensors = nn.Parameter(torch.empty(len(self.pairs), width, width * hidden))  # (pairs, D, D*H)
        self.linear = nn.Linear(len(setting.task.names) * width, hidden)
        self.head = mlp_head(hidden, setting)
        nn.init.normal_(self.tensors, std=1 / width)  # x' T z is then about as large as x and z.

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        x, _ = stacked(encoded)
        return Prediction(self.head(self.joint(x)))

    def joint(self, x: Tensor) -> Tensor:
        """The layer: (B, M, D), zeros where absent -> (B, H)."""
        h = self.linear(x.flatten(1))
        for (m, n), tensor in zip(self.pairs, self.tensors.unbind(0), strict=True):
            rows = (x[:, m] @ tensor).view(-1, x.shape[2], h.shape[1])  # (B, D*H) -> (B, D, H)
            h = h + torch.bmm(x[:, n, None], rows).squeeze(1)
        return h
