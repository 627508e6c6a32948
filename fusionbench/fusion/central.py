"""Central network: a network of its own reads every hidden layer of all encoders, each weighted by one learned number.

At each of S levels (the encoders' last layers, as many as the shallowest has):

    h_m^i = LN(mean over positions or real steps of the map) (B, K_i), filled up with zeros to the widest one's channels
    h^i   = a^i h_C^i + sum_m a_m^i h_m^i                    over the modalities present; no h_C at the first level
    h_C^{i+1} = ReLU(W_i h^i + b_i)                          (B, K_{i+1}); of the last level MLP(LN(h^S)), (B, C)
    y_m   = MLP_m(LN(x_m))                                   each modality's own prediction, (B, C)
    y     = a h_C + sum_m a_m y_m                            over the modalities present, (B, C)

    loss  = CE(y) + unimodal_weight sum_m CE(y_m)            the latter means over the samples that have m

All weights a are numbers drawn from [0, 1) at the start. LN has no weights: a hidden layer's means are nearly the same
for all samples, and the central network would start on that constant. Sizes, where every map has K channels:

Parameters: (S+1)*M + S + (S-1)*(K+1)*K + (K+1)*W + (W+1)*C + M*((D+1)*W + (W+1)*C)
FLOPs: 2*((S-1)*K*K + K*W + W*C) + M*2*(D*W + W*C)
Source: Vielzeuf et al. 2018, "CentralNet: a Multilayer Approach for Multimodal Fusion", arXiv:1808.07275. Zeros where
widths differ and random numbers to start from as in the code of some of its authors, juanmanpr/mfas,
models/central/ntu.py. There the numbers pass a sigmoid, central layers are convolutions with batch norm, and the last
sum, over predictions, is missing.
Use: where it is not known at which depth modalities should meet: every layer may feed the joint network.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._stages import level_vectors, level_widths
from fusionbench.fusion.base import FusionModule, Prediction, Setting, sample_losses
from fusionbench.fusion.blocks import HeadNorm, mlp_head, stacked


class CentralFusion(FusionModule):
    """CentralNet with dense layers, trained with the modalities' own losses."""

    display = "CentralNet"
    family = "feature"
    paper, stage, interaction, fidelity = "vielzeuf2018centralnet", "feature", "full", "adapted"
    reads_stages = True
    tunable = {"unimodal_weight": (0.1, 10.0, "log")}
    departure = (
        "hidden maps are averaged over positions or steps and normalised within the sample, so that the central layers "
        "are dense, in place of the batch norm of the authors' code, which lets samples see each other; weights of the "
        "sums are free, where the code's pass a sigmoid; of deeper encoders it reads as many last layers as the "
        "shallowest has; an absent modality leaves the sums; our common MLP heads"
    )

    def __init__(self, setting: Setting, *, unimodal_weight: float = 1.0) -> None:
        if not unimodal_weight >= 0:
            raise UserError(f"strategy 'central': unimodal_weight is {unimodal_weight}; it must be at least 0")
        super().__init__(setting)
        self.unimodal_weight = unimodal_weight
        own = level_widths(self.encoders)
        self.widths = [max(widths.values()) for widths in own]
        # Each map by itself: the sum stays a weighted sum, and padding stays zero.
        self.norms = nn.ModuleList(nn.ModuleList(HeadNorm([k], setting) for k in level.values()) for level in own)
        levels, count = len(self.widths), len(setting.task.names)
        self.read = nn.Parameter(torch.rand(levels + 1, count))
        self.keep = nn.Parameter(torch.rand(levels))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        self.head = mlp_head(self.widths[-1], setting)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Hidden layers (B, M, K_i) of each level, then predictions (B, M, C) -> (B, C)."""
        _, present = stacked(encoded)
        vectors = [level_vectors(one, len(self.widths)) for one in encoded.values()]
        central = None
        for level, width in enumerate(self.widths):
            normed = [
                norm(one[level]) for norm, one in zip(cast(nn.ModuleList, self.norms[level]), vectors, strict=True)
            ]
            hidden = torch.stack([F.pad(one, (0, width - one.shape[1])) for one in normed], 1)
            total = self._weighted(level, hidden, present, central)
            central = self.layers[level](total) if level < len(self.layers) else self.head(total)
        unimodal = {name: self.heads[name](one.pooled) for name, one in encoded.items()}
        predictions = torch.stack(list(unimodal.values()), 1)
        return Prediction(self._weighted(len(self.widths), predictions, present, central), unimodal)

    def _weighted(self, level: int, values: Tensor, present: Tensor, central: Tensor | None) -> Tensor:
        """The level's sum over the modalities present and the central network: (B, M, X), (B, X) -> (B, X)."""
        weights = self.read[level] * present  # (B, M)
        total = (weights[..., None] * values).sum(1)
        return total if central is None else self.keep[level - 1] * central + total

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The central prediction's loss and the weighted sum of the modalities' own."""
        own = [self._own_loss(y, batch.targets, batch.present[name]) for name, y in prediction.unimodal.items()]
        return super().loss(prediction, batch) + self.unimodal_weight * torch.stack(own).sum()

    def _own_loss(self, logits: Tensor, targets: Tensor, present: Tensor) -> Tensor:
        losses = sample_losses(logits, targets, self.task)
        return (losses * present).sum() / present.sum().clamp(min=1)
