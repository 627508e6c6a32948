"""What training-side strategies share: a loss for the joint prediction, and one for each modality's own.

Where modalities are missing, a modality's loss is the mean over the samples that have it. On several devices these may
be distributed unevenly, so the mean is taken over all devices' samples, not over each device's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.task import TaskSpec
from fusionbench.fusion._devices import mean_over_devices
from fusionbench.fusion.base import FusionModule, Prediction, Setting, sample_losses
from fusionbench.fusion.blocks import mlp_head, stacked


class JointAndOwnHeads(nn.Module):
    """An MLP on the concatenation, and one on each modality that only training needs.

    (M*D+1)*W + (W+1)*C + M*((D+1)*W + (W+1)*C) parameters; 2*(M*D*W + W*C) FLOPs of a prediction.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        names = setting.task.names
        self.joint = mlp_head([setting.width] * len(names), setting)
        self.own = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in names})

    def forward(self, encoded: dict[str, Encoded], with_own: bool) -> Prediction:
        """(B, D) of each -> the joint logits (B, C), and if they are wanted each modality's own (B, C)."""
        pooled, _ = stacked(encoded)
        own = {name: self.own[name](one.pooled) for name, one in encoded.items()} if with_own else {}
        return Prediction(self.joint(pooled.flatten(1)), own)


def loss_table(prediction: Prediction, batch: MultimodalBatch, task: TaskSpec) -> tuple[Tensor, Tensor]:
    """A sample's loss by the joint logits, then by each modality's own: (B, 1+M); and which count, bool (B, 1+M)."""
    logits = [prediction.logits, *prediction.unimodal.values()]
    losses = torch.stack([sample_losses(z, batch.targets, task) for z in logits], 1)
    everyone = torch.ones_like(batch.ids, dtype=torch.bool)
    counted = torch.stack([everyone, *(batch.present[name] for name in prediction.unimodal)], 1)
    return losses, counted


def counted_means(module: FusionModule, losses: Tensor, counted: Tensor) -> Tensor:
    """The mean of those losses that count: (B, X), bool (B, X) -> (X,); averaged over devices it is exact."""
    numbers = mean_over_devices(module, counted.sum(0).to(losses.dtype))
    return (losses * counted).sum(0) / numbers.clamp(min=1e-6)  # None counts on any device: 0.
