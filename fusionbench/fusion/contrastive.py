"""Contrastive: beside the classification, encodings of one sample are drawn together and those of others pushed apart.

    y   = MLP([x_1; ...; x_M])                       logits, (B, M*D) -> (B, C)

    e_m = P_m x_m / |P_m x_m|                        of each modality, (B, D) -> (B, H), H = `hidden`
    S   = exp(t) e_m e_n'                            similarities of all samples of the batch, (B, B)
    L   = mean_i (CE(S_i, i) + CE(S'_i, i)) / 2      whose n belongs to this m, and the other way round; CE over others
    loss = CE(y) + `weight` * mean over pairs m < n of L

t is learned: exp(t) starts at 1/0.07 and counts as 100 at most. Samples that lack m or n leave the pair, as classes of
the contrast too. The projections P_m serve the contrast alone: a prediction is that of `concat`, from encodings that
agree. Larger batches hold more samples to tell apart, so the batch size is part of the method.

Parameters: (M*D+1)*W + (W+1)*C
In training: M*D*hidden + 1
FLOPs: 2*(M*D*W + W*C)
Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (CLIP),
arXiv:2103.00020, and the authors' code, openai/CLIP (clip/model.py).
Use: with large batches, where modalities describe the same thing and their encodings should lie close.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, stacked

LARGEST = 100.0
"""What CLIP lets exp(t) grow to."""


class ContrastiveFusion(FusionModule):
    """Concatenation, with a contrast between every pair of modalities as a second loss."""

    display = "Contrastive"
    family = "coordinated"
    paper, stage, representation, interaction = "radford2021learning", "training", "coordinated", "full"
    fidelity = "adapted"
    tunable = {"hidden": (32, 512, "log"), "weight": (0.01, 10.0, "log")}
    departure = (
        "a second loss beside the labels', in place of training without any; a classifier on concatenated encodings; "
        "the mean over pairs of any number of modalities, any of them missing; its weight is ours"
    )
    training_only = ("contrast",)
    batch_level = "contrasts the samples of one device's part of the batch with one another only"

    def __init__(self, setting: Setting, *, hidden: int = 128, weight: float = 1.0) -> None:
        at_least("contrastive", "hidden", hidden, 1)
        if not weight >= 0:
            raise UserError(f"strategy 'contrastive': weight is {weight}; it must be a number of at least 0")
        super().__init__(setting)
        count = len(setting.task.names)
        self.weight = weight
        self.head = mlp_head([setting.width] * count, setting)
        self.contrast = Contrast(count, setting.width, hidden)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C), and in training the contrast."""
        x, present = stacked(encoded)
        penalty = self.weight * self.contrast(x, present) if self.training else 0.0
        return Prediction(self.head(x.flatten(1)), penalty=penalty)


class Contrast(nn.Module):
    """Projections and a scale, which only training needs, and the loss that they give: M*D*H + 1 parameters."""

    def __init__(self, count: int, width: int, hidden: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(count))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """The mean loss of a pair of modalities, in float32: (B, M, D), bool (B, M) -> ()."""
        # bfloat16 knows similarities of 14 to a sixteenth only.
        with torch.autocast(x.device.type, enabled=False):
            e = each(self.projections, x.float())
            losses = [
                pair_loss(self.similarities(e[:, m], e[:, n]), present[:, m] & present[:, n])
                for m, n in combinations(range(e.shape[1]), 2)
            ]
            return torch.stack(losses).mean() if losses else self.log_scale * 0.0

    def similarities(self, a: Tensor, b: Tensor) -> Tensor:
        """The scaled cosine of every sample's a with every sample's b: (B, H) twice -> (B, B)."""
        scale = self.log_scale.exp().clamp(max=LARGEST)
        return scale * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def pair_loss(similarities: Tensor, here: Tensor) -> Tensor:
    """The mean of both directions' cross-entropies over the samples that are there: (B, B), bool (B,) -> ()."""
    among = similarities[here][:, here]
    targets = torch.arange(len(among), device=among.device)
    # Of none at all a mean would be NaN.
    both = F.cross_entropy(among, targets, reduction="sum") + F.cross_entropy(among.T, targets, reduction="sum")
    return both / (2 * max(1, len(among)))
