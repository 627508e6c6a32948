"""Conflictive fusion: opinions are averaged, and modalities that are sure of different things are punished for it.

    e_m     = softplus(MLP_m(x_m))                       evidence, (B, C)
    alpha_m = e_m + 1, S_m = sum_c alpha_m               a Dirichlet distribution over class probabilities
    p_m     = alpha_m / S_m, u_m = C / S_m               its mean, and how unsure it is
    e       = mean_m e_m                                 over the modalities that are present, (B, C)
    y       = log(e + 1)                                 softmax(y) is the mean of the joint Dirichlet

To average evidence is to weigh beliefs by the others' uncertainty: b = (b_1 u_2 + b_2 u_1) / (u_1 + u_2), and
u = 2 u_1 u_2 / (u_1 + u_2). So one that is unsure makes the joint opinion less sure, unlike under Dempster's rule.

    loss    = mean over samples of (L(e + 1) + sum_m L(alpha_m)) / (M + 1) + `conflict` * D, L as in `evidential`
    D       = sum_{m,n} d_mn (1 - u_m) (1 - u_n) / (M - 1),  d_mn = sum_c |p_mc - p_nc| / 2

with M the number of modalities present. The most probable class is that of the largest sum of evidence over modalities:
three of the four cells of XOR at most.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Xu et al. 2024, "Reliable Conflictive Multi-View Learning" (ECML), AAAI, arXiv:2402.16897, and the authors' code
jiajunsi/RCML (model.py, loss_function.py), which averages more than two one after another, so that the last counts
half.
Use: where modalities may contradict each other and the answer should then be less certain, not more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._evidence import EvidenceHeads, annealed, dirichlet_loss, one_true_class, weight_reached
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, present_mean, stacked


class ConflictiveFusion(FusionModule):
    """Evidential conflictive multi-view learning (ECML)."""

    display = "ECML"
    family = "decision"
    needs_classes = "its Dirichlet shares belief out among classes of which one is true"
    paper, stage, representation, interaction = "xu2024reliable", "decision", "single", "limited"
    fidelity = "faithful"
    tunable = {"annealing": (1, 100, "log"), "conflict": (0.1, 10.0, "log")}
    departure = (
        "our common MLP heads give the evidence; of more than two modalities all count alike; any may be missing, and "
        "is then not among those averaged"
    )

    def __init__(self, setting: Setting, *, annealing: int = 50, conflict: float = 1.0) -> None:
        at_least("conflictive", "annealing", annealing, 1)
        if not conflict >= 0:
            raise UserError(f"strategy 'conflictive': conflict is {conflict}; it must be a number of at least 0")
        super().__init__(setting)
        self.annealing, self.conflict = annealing, conflict
        self._reached: float | None = None
        self.heads = EvidenceHeads(setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Several labels a sample."""
        return one_true_class(setting)

    def notes(self) -> tuple[str, ...]:
        """How far the weight of the divergence has come."""
        return weight_reached(self._reached, self.annealing)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> evidence (B, M, C) -> log(e + 1), (B, C); `unimodal` holds log alpha_m."""
        _, present = stacked(encoded)
        evidence, unimodal = self.heads(encoded)
        return Prediction(present_mean(evidence, present).log1p(), unimodal)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The paper's: the mean of the joint and the own losses, and the conflict, a mean over samples."""
        weight = annealed(self.current_epoch + 1, self.annealing)
        self._reached = weight if self.training else self._reached
        alpha = torch.stack(list(prediction.unimodal.values()), 1).exp()  # (B, M, C)
        present = torch.stack([batch.present[name] for name in prediction.unimodal], 1)
        losses = dirichlet_loss(prediction.logits.exp(), batch.targets, weight)
        for own, here in zip(alpha.unbind(1), present.unbind(1), strict=True):
            losses = losses + dirichlet_loss(own, batch.targets, weight) * here
        return (losses / (1 + present.sum(1)) + self.conflict * conflict_degree(alpha, present)).mean()


def conflict_degree(alpha: Tensor, present: Tensor) -> Tensor:
    """How far modalities that are sure are apart: alpha (B, M, C), each at least 1, bool (B, M) -> (B,)."""
    strength = alpha.sum(-1, keepdim=True)
    mean = alpha / strength  # (B, M, C)
    sure = (1 - alpha.shape[-1] / strength.squeeze(-1)) * present  # (B, M)
    apart = (mean[:, :, None] - mean[:, None]).abs().sum(-1) / 2  # (B, M, M)
    others = (present.sum(1) - 1).clamp(min=1)
    return (apart * sure[:, :, None] * sure[:, None]).sum((1, 2)) / others
