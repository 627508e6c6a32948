"""Low-rank fusion: a bilinear form of all modalities, its weight tensor kept as a sum of R outer products.

    z_m = [x_m; 1]                                    (B, D+1)
    h   = sum_r prod_m (F_m[r] z_m)                   F_m: (R, H, D+1); (B, H)
        = T . (z_1 (x) ... (x) z_M),                  T = sum_r F_1[r] (x) ... (x) F_M[r]
    y   = MLP(LN(h))                                  logits, (B, C)

The appended 1 keeps the terms of fewer modalities beside that of all. Of an absent modality x_m is zero: what is left
of its factor is the learned constant that belongs to the 1.

Parameters: M*(D+1)*rank*hidden + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*D*rank*hidden + hidden*W + W*C)
Source: Liu et al. 2018, "Efficient Low-rank Multimodal Fusion with Modality-Specific Factors", arXiv:1806.00064. The
authors' code, Justin1904/Low-rank-Multimodal-Fusion, model.py (LMF), weights the sum over r and adds a bias, which the
paper's formula, and ours, does not: compared with its numbers, the weights in one factor and the bias at its start, 0.
Use: in place of the tensor fusion where its product would be too large: more modalities, wider encodings.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class LowRankFusion(FusionModule):
    """Low-rank multimodal fusion (LMF), then an MLP."""

    display = "LMF"
    family = "bilinear"
    paper, stage, interaction, fidelity = "liu2018efficient", "feature", "full", "faithful"
    departure = "our common MLP head follows; starts near the sum over modalities"
    own_width = "hidden"
    tunable = {"rank": (1, 16, "log"), "hidden": (32, 512, "log")}

    def __init__(self, setting: Setting, *, rank: int = 4, hidden: int = 128) -> None:
        at_least("low_rank", "rank", rank, 1)
        at_least("low_rank", "hidden", hidden, 1)
        super().__init__(setting)
        self.rank = rank
        # One parameter, not a list of tensors: a plain list is neither trained nor counted.
        self.factors = nn.Parameter(torch.empty(len(setting.task.names), setting.width + 1, rank * hidden))
        self.head = mlp_head(hidden, setting)
        self._initialise()

    def _initialise(self) -> None:
        # A product of M small numbers vanishes, and its gradient with it. So the constants' rows start with product
        # 1/R: at first, h is 1 plus a random linear map of every modality plus their products.
        count, inputs, _ = self.factors.shape
        scale = self.rank ** (-1 / count)
        nn.init.normal_(self.factors, std=scale / (inputs - 1) ** 0.5)
        nn.init.constant_(self.factors[:, -1], scale)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, H) -> (B, C)."""
        x, _ = stacked(encoded)
        return Prediction(self.head(self.joint(x)))

    def joint(self, x: Tensor) -> Tensor:
        """The multilinear form: (B, M, D), zeros where absent -> (B, H)."""
        weight, constant = self.factors[:, :-1], self.factors[:, -1:]
        maps = torch.baddbmm(constant, x.transpose(0, 1), weight)  # (M, B, D) -> (M, B, R*H)
        return reduce(torch.mul, maps.unbind(0)).view(x.shape[0], self.rank, -1).sum(1)  # -> (B, H)
