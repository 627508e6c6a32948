"""OGM-GE: the modality that is ahead of the others takes smaller steps, and noise keeps these from settling.

    z_m   = relu(U_m norm(x_m))                    modality m's last layer, (B, D) -> (B, W), on a HeadNorm
    y     = V [z_1; ...; z_M] + b                  logits, (B, M*W) -> (B, C); a sum over modalities of
    y_m   = V_m z_m + b / M                        (B, C)

    s_m   = mean over samples of softmax(y_m)[k]   k the true class; over the batch of all devices, where m is present
    rho_m = s_m / min_n s_n                        M = 2: the paper's ratio of the two
    k_m   = 1 - tanh(alpha rho_m) if rho_m > 1, else 1
    d    <- k_m d + e,  e ~ N(0, std(d)^2)         for what a step of the optimiser changes, d, of every parameter of
                                                   encoder m and U_m

up to epoch `until`, from 0; then trained as usual. A linear layer on a concatenation is additive: it cannot see
interactions such as XOR, and has to be so, since otherwise no modality would have a score of its own. Our hidden layer
stands before the concatenation for this reason; it is the encoder's last one. `noise` is the generalisation
enhancement (GE): without it and with alpha 0, training is plain. The authors' code changes convolutions only, the paper
all of an encoder, and so do we. A true gradient of 0 has no variance and is given none, so that e.g. the embeddings of
words that are not in the batch stay where they are.

In the paper k_m and e are the gradient's, and the optimiser is SGD. Here it is AdamW by default, which divides by
gradients' own size: a factor that stays the same over many steps would be evened out. So both are the step's, a
learning rate of the modality's own. Under SGD without momentum that is the paper's step exactly, and under AdamW the
modality that is ahead is slowed by the same factor.

For M > 2 the ratio to the weakest is that of the authors' later BalanceBenchmark. For multilabel tasks, ours, s_m is
the mean over samples of the mean sigmoid(y_m) of their labels.

Parameters: M*(D+1)*W + (M*W+1)*C
FLOPs: 2*(M*D*W + M*W*C)
Source: Peng et al. 2022, "Balanced Multimodal Learning via On-the-Fly Gradient Modulation", arXiv:2203.15332; scores,
noise and `until` as in the authors' code, GeWu-Lab/OGM-GE_CVPR2022 (main.py), which has no default for alpha: 0.3 is
that of BalanceBenchmark.
Use: where one modality learns faster and starves the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion._balance import (
    ModulatedSteps,
    frozen_encoders,
    not_negative,
    sums_and_counts,
    true_probability,
)
from fusionbench.fusion._devices import sum_over_devices
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, class_layer


class OgmGeFusion(FusionModule):
    """On-the-fly gradient modulation with generalisation enhancement (OGM-GE)."""

    display = "OGM-GE"
    family, trains_encoders = "training", True
    needs_classes = "its coefficients compare how probable each modality makes the true class"
    paper, stage, interaction, fidelity = "peng2022balanced", "training", "none", "adapted"
    tunable = {"alpha": (0.1, 1.0, "log"), "noise": [False, True]}
    departure = (
        "AdamW for SGD, so that coefficient and noise are the step's, not the gradient's; a ReLU layer on normalised "
        "encodings ends each encoder; all of an encoder is changed, in the code its convolutions; several labels are "
        "our form"
    )

    def __init__(self, setting: Setting, *, alpha: float = 0.3, noise: bool = True, until: int = 50) -> None:
        """`alpha`: how much is taken off; `noise`: whether it is added; `until`: the last epoch, from 0, of both."""
        not_negative("ogm_ge", "alpha", alpha)
        at_least("ogm_ge", "until", until, 0)
        super().__init__(setting)
        self.alpha, self.noise, self.until = alpha, noise, until
        self.hidden = nn.ModuleDict({name: _last_layer(setting) for name in self.task.names})
        self.last = class_layer(len(self.task.names) * setting.head_width, setting)
        self._sums: Tensor | None = None  # Scores since the last step of the optimiser, (2, M).
        self._steps = ModulatedSteps()

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Encoders that are not trained."""
        return frozen_encoders(setting, "it changes the steps of the encoders")

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, M, W) -> scores (B, M, C) -> (B, C)."""
        hidden = [self.hidden[name](x.pooled) * x.present[:, None] for name, x in encoded.items()]
        z = torch.stack(hidden, 1)  # (B, M, W)
        weight = self.last.weight.reshape(self.task.classes, len(hidden), -1)  # (C, M*W) -> (C, M, W)
        scores = torch.einsum("bmw,cmw->bmc", z, weight) + self.last.bias / len(hidden)
        return Prediction(scores.sum(1), dict(zip(encoded, scores.unbind(1), strict=True)))

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy; in training the modalities' scores are noted for the step of the optimiser that follows."""
        if self.training and self.current_epoch <= self.until:
            sums = self._noted(prediction, batch)
            self._sums = sums if self._sums is None else self._sums + sums
        return super().loss(prediction, batch)

    @torch.no_grad()
    def _noted(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        scores, has_label = true_probability(
            torch.stack(list(prediction.unimodal.values()), 1), batch.targets, self.task
        )
        present = torch.stack([batch.present[name] for name in prediction.unimodal], 1)
        return sums_and_counts(scores, present & has_label[:, None])

    def on_train_start(self) -> None:
        """Have the optimisers' steps modulated."""
        for optimiser in self.trainer.optimizers:
            optimiser.register_step_post_hook(self._steps.after)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Say by what the step that follows is multiplied."""
        if self._sums is None:
            return
        sums, counts = sum_over_devices(self, self._sums)
        self._sums = None
        factors = coefficients(sums / counts.clamp(min=1), counts > 0, self.alpha)
        parts = [(*self.encoders[name].parameters(), *self.hidden[name].parameters()) for name in self.task.names]
        self._steps.before(zip(parts, factors, strict=True), self.noise)


def _last_layer(setting: Setting) -> nn.Sequential:
    """(B, D) -> (B, W)."""
    linear = nn.Linear(setting.width, setting.head_width)
    return nn.Sequential(HeadNorm([setting.width], setting), linear, nn.ReLU(), nn.Dropout(setting.dropout))


def coefficients(scores: Tensor, known: Tensor, alpha: float) -> Tensor:
    """What each modality's steps are multiplied by: scores (M,), known, bool (M,), where there is one -> (M,)."""
    weakest = scores.masked_fill(~known, torch.inf).amin()
    ratio = scores / weakest.clamp(min=torch.finfo(scores.dtype).tiny)
    return torch.where(known & (ratio > 1), 1 - torch.tanh(alpha * ratio), 1.0)
