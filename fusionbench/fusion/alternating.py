"""Alternating: modalities are trained in turn through one shared head, and the surer one counts more in a prediction.

    h_m = relu(V_m norm(x_m) + c_m)             the last layer of encoder m, on a HeadNorm, (B, W)
    z_m = U h_m + d                             one head for all, (B, C)
    y   = sum_m w_m z_m                         (B, C), w = softmax_m(-entropy(softmax(z_m))) over those present, (B, M)

An absent modality has no weight. Multilabel: the entropy of C independent labels, a sum of C binary entropies.

Every batch is met by one modality after the other, each by a step of its own on CE(z_m), which moves its encoder and
the head. So that a step does not undo what the head has learned from the modality before, it moves U at right angles
to that modality's mean features r (W,), and approximately to all before: by recursive least squares,

    P <- P - k k' / (alpha + r' k), k = P r     (W, W), from the identity; then P <- P / |P|, Frobenius
    U.grad <- U.grad P

alpha falls from 0.1 to 0.01 in the course of an epoch. No step ever sees two modalities, neither in its input nor in
its gradient: weights that depend on both do not make it learn an interaction such as XOR.

Parameters: M*(D+1)*W + (W+1)*C
FLOPs: M*2*(D*W + W*C)
Source: Zhang et al. 2024, "Multimodal Representation Learning by Alternating Unimodal Adaptation" (MLA),
arXiv:2311.10707. The order of the steps, r as a batch's mean, alpha and |P| are those of the authors' code,
Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation (main.py, utils/utils.py). Where it departs from
recursive least squares and from a sample's entropy, we do not follow it: it divides by a matrix in place of alpha + r'
k, takes r from the modality that the step trains, never comes to changing U.grad, since it looks for another parameter
name, and has one entropy for a whole batch.
Use: where modalities disturb each other's training, or often come alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.task import TaskSpec
from fusionbench.fusion._balance import frozen_encoders
from fusionbench.fusion._devices import mean_over_devices
from fusionbench.fusion._objectives import counted_means
from fusionbench.fusion.base import FusionModule, Prediction, Setting, sample_losses
from fusionbench.fusion.blocks import HeadNorm, class_layer, present_softmax, stacked


class AlternatingFusion(FusionModule):
    """Multimodal learning with alternating unimodal adaptation (MLA)."""

    display = "MLA"
    family, trains_encoders = "training", True
    needs_classes = "it predicts by how sure each modality is: the entropy of its class probabilities"
    paper, stage, representation, interaction = "zhang2024multimodal", "training", "single", "none"
    fidelity = "adapted"
    departure = (
        "recursive least squares where the authors' code departs from it, since the paper's own equations were not "
        "seen; a ReLU layer of the common head's width on normalised encodings ends every encoder, before the paper's "
        "linear head; AdamW in place of SGD; entropy and loss of several labels are sums over classes; means "
        "are over the samples that have the modality"
    )

    projection: Tensor
    """P, (W, W)."""
    features: Tensor
    """r, (W,): the mean features of the modality that the last step trained; 0 before the first."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        width = setting.head_width
        self.automatic_optimization = False  # Several optimiser steps a batch.
        self.layers = nn.ModuleDict({name: _last_layer(setting) for name in setting.task.names})
        self.head = class_layer(width, setting)
        self.register_buffer("projection", torch.eye(width))
        self.register_buffer("features", torch.zeros(width))

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """An encoder that stays as it is."""
        return frozen_encoders(setting, "it trains one encoder after the other")

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> their sum by certainty (B, C)."""
        unimodal = {name: self.head(self.hidden(name, one)).float() for name, one in encoded.items()}
        logits = torch.stack(list(unimodal.values()), 1)  # (B, M, C)
        _, present = stacked(encoded)
        weights = present_softmax(-entropy(logits, self.task), present)
        return Prediction((weights[..., None] * logits).sum(1), unimodal, weights=weights)

    def hidden(self, name: str, one: Encoded) -> Tensor:
        """The features that the shared head reads: (B, D) -> (B, W)."""
        features: Tensor = self.layers[name](one.pooled)
        return features

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The sum of the modalities' losses, as one step after the other meets them in training."""
        return torch.stack(
            [self._own_loss(logits, batch, batch.present[name]) for name, logits in prediction.unimodal.items()]
        ).sum()

    def _own_loss(self, logits: Tensor, batch: MultimodalBatch, present: Tensor) -> Tensor:
        losses = sample_losses(logits, batch.targets, self.task)
        return counted_means(self, losses[:, None], present[:, None]).sum()

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """One optimiser step for each modality, one of the schedule for the batch."""
        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        encoded = self.encode(batch)  # No step but its own changes an encoder.
        total = torch.zeros((), device=self.device)
        for name, one in encoded.items():
            hidden = self.hidden(name, one)
            loss = self._own_loss(self.head(hidden), batch, one.present)
            optimiser.zero_grad()  # type: ignore[union-attr]
            self.manual_backward(loss)
            self._modify_gradient(0.1 ** (1 + batch_index / self.trainer.num_training_batches))
            optimiser.step()  # type: ignore[union-attr]
            self._remember(hidden.detach().float(), one.present)
            total += loss.detach()
        schedule.step()  # type: ignore[union-attr]
        return self.added_up(total)

    def _modify_gradient(self, alpha: float) -> None:
        """Take out of the head's gradient what would change its answers to the features of the modality before."""
        assert self.head.weight.grad is not None
        with torch.autocast(self.device.type, enabled=False):  # P lives through the whole training.
            self.projection.copy_(recursive_projection(self.projection, self.features, alpha))
            self.head.weight.grad.copy_(self.head.weight.grad @ self.projection)

    def _remember(self, hidden: Tensor, present: Tensor) -> None:
        """The mean features over all devices' samples that have the modality: (B, W), bool (B,) -> (W,)."""
        sums = mean_over_devices(self, torch.cat([(hidden * present[:, None]).sum(0), present.sum()[None].float()]))
        self.features.copy_(sums[:-1] / sums[-1].clamp(min=1e-6))


def _last_layer(setting: Setting) -> nn.Sequential:
    """(B, D) -> (B, W)."""
    linear = nn.Linear(setting.width, setting.head_width)
    return nn.Sequential(HeadNorm([setting.width], setting), linear, nn.ReLU(), nn.Dropout(setting.dropout))


def recursive_projection(projection: Tensor, features: Tensor, alpha: float) -> Tensor:
    """A step of recursive least squares, then scaled to Frobenius norm 1: (W, W), (W,) -> (W, W)."""
    gain = projection @ features
    found = projection - torch.outer(gain, gain) / (alpha + features @ gain)
    return found / found.norm()


def entropy(logits: Tensor, task: TaskSpec) -> Tensor:
    """How unsure logits are, in nats: (..., C) -> (...); of independent labels in a multilabel task."""
    if task.kind == "multiclass":
        logarithms = logits.log_softmax(-1)
        return -(logarithms.exp() * logarithms).sum(-1)
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    return -(yes.exp() * yes + no.exp() * no).sum(-1)
