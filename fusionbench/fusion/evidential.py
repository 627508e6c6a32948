"""Evidential fusion: every modality says how much evidence it has for each class, and Dempster's rule combines them.

    e_m     = softplus(MLP_m(x_m))                       evidence, (B, C)
    alpha_m = e_m + 1, S_m = sum_c alpha_m               a Dirichlet distribution over class probabilities
    b_m     = e_m / S_m, u_m = C / S_m                   belief in each class, and what is left: "any of them"
    (b, u)  = (b_1, u_1) + ... + (b_M, u_M)              Dempster's rule, over the modalities that are present
    alpha   = b S + 1, S = C / u                         the joint Dirichlet; y = log alpha, (B, C)

Since b_m / u_m = e_m / C, the rule has a closed form without a division by the conflict:

    alpha   = 1 + C (prod_m (1 + e_m / C) - 1)           an absent modality has no evidence: a factor of 1

The most probable class is that of the largest sum over modalities of log(1 + e_m / C): three of the four cells of XOR
at most. softmax(log alpha) = alpha / S, the mean of the Dirichlet.

    loss    = mean over samples of L(alpha) + sum_m L(alpha_m), for label k:
    L       = digamma(S) - digamma(alpha_k) + min(1, t / annealing) KL(Dir(alpha~) || Dir(1))

in epoch t, from 1, where alpha~ is alpha but for alpha~_k = 1: evidence for wrong classes is punished little at first.
A budget of fewer than `annealing` epochs never punishes it in full.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Han et al. 2021, "Trusted Multi-View Classification", arXiv:2102.02051; softplus, annealing over 50 epochs and
the order of the loss's terms are those of the authors' code, hanmenghan/TMC ("TMC ICLR/model.py").
Use: where the answer should come with how much evidence there was, and weak modalities may abstain.
"""

from __future__ import annotations

from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion._evidence import (
    EvidenceHeads,
    annealed,
    combined,
    dirichlet_loss,
    one_true_class,
    weight_reached,
)
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least


class EvidentialFusion(FusionModule):
    """Trusted multi-view classification (TMC)."""

    display = "TMC"
    family = "decision"
    needs_classes = "its Dirichlet shares belief out among classes of which one is true"
    paper, stage, representation, interaction = "han2021trusted", "decision", "single", "limited"
    fidelity = "faithful"
    departure = "our common MLP head gives the evidence; modalities may be missing, and then say nothing"
    tunable = {"annealing": (1, 100, "log")}

    def __init__(self, setting: Setting, *, annealing: int = 50) -> None:
        at_least("evidential", "annealing", annealing, 1)
        super().__init__(setting)
        self.annealing = annealing
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
        """(B, D) of each -> evidence (B, M, C) -> log alpha (B, C); `unimodal` holds log alpha_m."""
        evidence, unimodal = self.heads(encoded)
        return Prediction(combined(evidence).log1p(), unimodal)

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The paper's: the joint Dirichlet's loss and those of the modalities that are present, a mean over samples."""
        weight = annealed(self.current_epoch + 1, self.annealing)
        self._reached = weight if self.training else self._reached
        losses = dirichlet_loss(prediction.logits.exp(), batch.targets, weight)
        for name, log_alpha in prediction.unimodal.items():
            losses = losses + dirichlet_loss(log_alpha.exp(), batch.targets, weight) * batch.present[name]
        return losses.mean()
