"""AGM: each modality's share of the answer is split off, and a share that is ahead of its usual lead learns less.

    f(S)    = MLP(x, 0 for modalities outside S)      what the model says from some modalities, (B, M*D) -> (B, C)
    phi_m   = Shapley value of m in f, f({}) = 0      M = 2: (f({1,2}) - f({2}) + f({1})) / 2 for m = 1; (B, C)
    y       = f(all) = sum_m phi_m                    logits, (B, C)

    s_m     = mean over samples of -log softmax(phi_m)[k]    k the true class; over the batch of all devices, with m
    r_m     = exp(mean of the others' s - s_m)        its lead in this step
    tau_m   = exp(mean of the others' S - S_m)        its usual lead: S_m is the mean of s_m over all steps before
    kappa_m = exp(alpha clip(tau_m - r_m, -10, 10))
    dL      = sum_m kappa_m (dL/dy) dphi_m            all parameters' gradient, the MLP's too

In the code the optimiser is SGD by default. Here it is AdamW by default, which divides by a gradient's own size: a
factor that stays the same over many steps would be evened out. So encoder m's gradient is divided by kappa_m again,
and what its step changes is multiplied by kappa_m: under SGD without momentum that is the same step, and under AdamW
the modality that takes the lead is slowed by its coefficient.

For M = 2 and 3 this is the authors' code, but for the bounds: copies of it have none, 7 or 10 above. For more of them,
the Shapley value and the same ratios are our reading. With alpha 0 training is plain. Subsets are answered without
dropout, as in their code, and only in training: 2^M - 2 further passes of the MLP. An absent modality is outside every
S: its share is 0 (but for dropout) and it does not count in s_m. In the first step the usual lead is 1. What a subset
leaves out is zeros in place of the encoding, as for an absent modality; in the authors' code zeros are given to the
encoder. They clip gradients besides, and by default modulate the first epochs only; we do neither.

For multilabel tasks, ours, softmax(phi_m)[k] is the mean sigmoid(phi_m) of a sample's labels.

Parameters: (M*D+1)*W + (W+1)*C
FLOPs: 2*(M*D*W + W*C)
Source: Li et al. 2023, "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation", arXiv:2308.07686;
the formulas and alpha = 1 are those of the authors' code, lihong2303/AGM_ICCV2023 (run/CREMAD_main.py, with GradMod of
model/CREMAD_net.py).
Use: as ogm_ge, where the fusion is not additive.
"""

from __future__ import annotations

from itertools import product
from math import factorial

import torch
from torch import Tensor
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
from fusionbench.fusion.base import FusionModule, Prediction, Setting, task_loss
from fusionbench.fusion.blocks import mlp_head, stacked

MOST = 10
"""Modalities: each more doubles the subsets."""
LEAST_PROBABILITY = 1e-8
"""Of the true class, in s_m."""
BOUND = 10.0
"""How far the usual lead can be above or below that of the step."""


class AgmFusion(FusionModule):
    """Adaptive gradient modulation (AGM) on a concatenation."""

    display = "AGM"
    family, trains_encoders, copy_of = "training", True, "concat"
    needs_classes = "its coefficients compare how probable each modality's share makes the true class"
    paper, stage, interaction, fidelity = "li2023boosting", "training", "full", "adapted"
    tunable = {"alpha": (0.1, 10.0, "log")}
    departure = (
        "AdamW for SGD, so that coefficients are encoders' steps'; leaves encodings out, not inputs; several "
        "labels are our form"
    )

    subsets: Tensor
    """(S, M) of zeros and ones: every subset but the empty one; the last is the whole."""
    shares: Tensor
    """(S, M): how much a subset's answer counts in each modality's share."""
    usual: Tensor
    """(M,): the mean of each modality's s over the steps so far."""
    steps: Tensor
    """How many steps those are."""

    def __init__(self, setting: Setting, *, alpha: float = 1.0) -> None:
        """`alpha`: how strongly a lead is answered."""
        not_negative("agm", "alpha", alpha)
        super().__init__(setting)
        self.alpha = alpha
        count = len(self.task.names)
        self.head = mlp_head([setting.width] * count, setting)
        subsets, shares = shapley(count)
        self.register_buffer("subsets", subsets, persistent=False)
        self.register_buffer("shares", shares, persistent=False)
        self.register_buffer("usual", torch.zeros(count))
        self.register_buffer("steps", torch.zeros(()))
        self._kappas: list[Tensor] = []  # Of the batches since the last step of the optimiser, (M,) each.
        self._modulated = ModulatedSteps()

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Encoders that are not trained, or too many subsets."""
        if len(setting.task.names) > MOST:
            return f"it asks every subset of the modalities, and takes {MOST} modalities at most"
        return frozen_encoders(setting, "it changes the gradients that reach the encoders")

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C); in training `unimodal` holds each modality's share phi_m (B, C)."""
        pooled, present = stacked(encoded)
        logits = self.head(pooled.flatten(1))
        if not self.training:
            return Prediction(logits)
        return Prediction(logits, dict(zip(encoded, self.responses(pooled, present, logits).unbind(1), strict=True)))

    def responses(self, pooled: Tensor, present: Tensor, logits: Tensor) -> Tensor:
        """Each modality's share: (B, M, D), bool (B, M), the answer from all (B, C) -> (B, M, C)."""
        here = present[:, None] & self.subsets.bool()  # (B, S, M)
        parts = pooled[:, None] * here[:, :-1, :, None]  # (B, S-1, M, D)
        norm, first, rectify, _, last = self.head
        answers = last(rectify(first(norm(parts.flatten(2)))))  # (B, S-1, C), without dropout
        values = torch.cat([answers, logits[:, None].to(answers.dtype)], 1) * here.any(2)[..., None]
        return torch.einsum("bsc,sm->bmc", values, self.shares)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy, whose gradient reaches each modality's share multiplied by kappa_m."""
        if not prediction.unimodal:
            return super().loss(prediction, batch)
        shares = torch.stack(list(prediction.unimodal.values()), 1)  # (B, M, C)
        kappa = self.kappa(shares.detach(), torch.stack([batch.present[n] for n in prediction.unimodal], 1), batch)
        self._kappas.append(kappa)
        # Zero, but not its gradient: y = sum_m phi_m has the gradient of each phi_m once already.
        further = ((kappa - 1)[:, None] * (shares - shares.detach())).sum(1)
        return task_loss(prediction.logits + further, batch.targets, self.task)

    def on_train_start(self) -> None:
        """Have the optimisers' steps modulated."""
        self._kappas.clear()
        for optimiser in self.trainer.optimizers:
            optimiser.register_step_post_hook(self._modulated.after)

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Make the coefficients of the encoders' gradients those of their steps."""
        if not self._kappas:
            return
        factors = torch.stack(self._kappas).mean(0)
        self._kappas.clear()
        for name, factor in zip(self.task.names, factors, strict=True):
            for parameter in self.encoders[name].parameters():
                if parameter.grad is not None:
                    parameter.grad /= factor
        self._modulated.before(
            zip((self.encoders[name].parameters() for name in self.task.names), factors, strict=True)
        )

    @torch.no_grad()
    def kappa(self, shares: Tensor, present: Tensor, batch: MultimodalBatch) -> Tensor:
        """The coefficients of this step, (M,), from (B, M, C) and bool (B, M); then the step counts as one before."""
        probability, has_label = true_probability(shares, batch.targets, self.task)
        losses = -probability.clamp(min=LEAST_PROBABILITY).log()
        sums, counts = sum_over_devices(self, sums_and_counts(losses, present & has_label[:, None]))
        scores = torch.where(counts > 0, sums / counts.clamp(min=1), self.usual)
        found = coefficients(scores, self.usual, self.alpha)
        self.steps += 1
        self.usual += (scores - self.usual) / self.steps
        return found


def shapley(count: int) -> tuple[Tensor, Tensor]:
    """All subsets of some modalities but the empty one, (S, M), and their weights in the Shapley values, (S, M)."""
    subsets = sorted((s for s in product((0, 1), repeat=count) if any(s)), key=sum)
    whole = factorial(count)

    def weight(size: int, inside: int) -> float:
        before = size - inside  # How many are there before the modality comes.
        return (1 if inside else -1) * factorial(before) * factorial(count - before - 1) / whole

    # The whole set is outside of no modality, so its (count - before - 1) is never negative.
    shares = [[weight(sum(subset), inside) for inside in subset] for subset in subsets]
    return torch.tensor(subsets, dtype=torch.float32), torch.tensor(shares)


def coefficients(scores: Tensor, usual: Tensor, alpha: float) -> Tensor:
    """What the gradient through each modality's share is multiplied by, from its loss now and as usual; all (M,)."""
    return torch.exp(alpha * (lead(usual) - lead(scores)).clamp(-BOUND, BOUND))


def lead(losses: Tensor) -> Tensor:
    """How far each modality's loss is below the mean of the others', as a ratio: (M,) -> (M,)."""
    others = max(1, len(losses) - 1)
    return torch.exp((losses.sum() - losses) / others - losses)
