"""Evidential fusion with a pseudo-view: beside every modality, all of them together say how much evidence they have.

    e_m     = softplus(MLP_m(x_m))                       evidence of each modality, (B, C)
    e_0     = softplus(MLP_0([x_1; ...; x_M]))           evidence of the pseudo-view, from their concatenation, (B, C)
    alpha   = 1 + C (prod_m (1 + e_m / C) - 1)           Dempster's rule over all of them, as in `evidential`, (B, C)
    y       = log alpha                                  softmax(y) is the mean of the joint Dirichlet

An absent modality has no evidence, and is zero in the concatenation. The pseudo-view is what can see an interaction,
which `evidential` cannot: there, evidence of each modality is multiplied.

    loss    = mean over samples of L(alpha) + L(alpha_0) + sum_m L(alpha_m),  alpha_m = e_m + 1, L as in `evidential`

but for its annealing: over 10 epochs, counted from 0, as in the authors' code; in the first one nothing is punished.

Parameters: M*((D+1)*W + (W+1)*C) + (M*D+1)*W + (W+1)*C
FLOPs: 2*(2*M*D*W + (M+1)*W*C)
Source: Han et al. 2022, "Trusted Multi-View Classification with Dynamic Evidential Fusion" (ETMC), IEEE TPAMI,
arXiv:2204.11423, and the authors' code, hanmenghan/TMC ("ETMC TPAMI/models/TMC.py", "train_ETMC_nyud2.py").
Use: as evidential, where the label may also depend on modalities together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

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
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


@dataclass
class _Opinions(Prediction):
    """A prediction, and what the pseudo-view says by itself."""

    together: Tensor | None = None
    """(B, C): log alpha_0."""


class PseudoViewFusion(FusionModule):
    """Enhanced trusted multi-view classification (ETMC)."""

    display = "ETMC"
    family = "decision"
    needs_classes = "its Dirichlet shares belief out among classes of which one is true"
    paper, stage, representation, interaction = "han2022trusted", "decision", "joint", "full"
    fidelity = "faithful"
    departure = "our common MLP heads give the evidence; modalities may be missing, and then say nothing"
    tunable = {"annealing": (1, 100, "log")}

    def __init__(self, setting: Setting, *, annealing: int = 10) -> None:
        at_least("pseudo_view", "annealing", annealing, 1)
        super().__init__(setting)
        self.annealing = annealing
        self._reached: float | None = None
        self.heads = EvidenceHeads(setting)
        self.together = mlp_head([setting.width] * len(setting.task.names), setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Several labels a sample."""
        return one_true_class(setting)

    def notes(self) -> tuple[str, ...]:
        """How far the weight of the divergence has come."""
        return weight_reached(self._reached, self.annealing)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> evidence (B, M+1, C) -> log alpha (B, C); `unimodal` holds log alpha_m."""
        evidence, unimodal = self.heads(encoded)
        x, _ = stacked(encoded)
        jointly = F.softplus(self.together(x.flatten(1)).float())
        total = combined(torch.cat([evidence, jointly[:, None]], 1))
        return _Opinions(total.log1p(), unimodal, together=jointly.log1p())

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The paper's: of the joint Dirichlet, the pseudo-view and the modalities present, a mean over samples."""
        assert isinstance(prediction, _Opinions)
        assert prediction.together is not None
        weight = annealed(self.current_epoch, self.annealing)
        self._reached = weight if self.training else self._reached
        losses = dirichlet_loss(prediction.logits.exp(), batch.targets, weight)
        losses = losses + dirichlet_loss(prediction.together.exp(), batch.targets, weight)
        for name, log_alpha in prediction.unimodal.items():
            losses = losses + dirichlet_loss(log_alpha.exp(), batch.targets, weight) * batch.present[name]
        return losses.mean()
