"""What the evidential strategies share: Dempster's rule, the loss of a Dirichlet distribution, and whom they suit."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import Setting
from fusionbench.fusion.blocks import mlp_head, stacked


def one_true_class(setting: Setting) -> str:
    """Why several labels a sample do not suit; empty if there is one."""
    if setting.task.kind == "multilabel":
        return "its Dirichlet shares belief out among classes of which exactly one is true; this task is multilabel"
    return ""


class EvidenceHeads(nn.ModuleDict):
    """An MLP for each modality that says how much evidence it sees for each class."""

    def __init__(self, setting: Setting) -> None:
        super().__init__({name: mlp_head(setting.width, setting) for name in setting.task.names})

    def forward(self, encoded: dict[str, Encoded]) -> tuple[Tensor, dict[str, Tensor]]:
        """Softplus of the MLPs: evidence (B, M, C), 0 where a modality is absent; and log(evidence + 1) of each."""
        _, present = stacked(encoded)
        logits = torch.stack([self[name](one.pooled) for name, one in encoded.items()], 1)
        evidence = F.softplus(logits.float()) * present[..., None]
        return evidence, dict(zip(encoded, evidence.log1p().unbind(1), strict=True))


def combined(evidence: Tensor) -> Tensor:
    """The evidence of all modalities by Dempster's rule: (B, M, C) -> (B, C)."""
    classes = evidence.shape[-1]
    # Through logarithms: a product of small evidence would be lost beside the 1.
    return classes * (evidence / classes).log1p().sum(1).expm1()


def annealed(epoch: int, annealing: int) -> float:
    """The weight of the divergence in an epoch, counted as the method does: it rises to 1 over so many epochs."""
    return min(1.0, epoch / annealing)


def weight_reached(weight: float | None, annealing: int) -> tuple[str, ...]:
    """In words, how far the weight of the divergence has come; nothing where none was trained."""
    if weight is None:
        return ()
    said = f"the weight of what punishes evidence for wrong classes rises over {annealing} epochs"
    return (f"{said}; it had reached {weight:.2g} of 1 when training ended.",)


def dirichlet_loss(alpha: Tensor, targets: Tensor, weight: float) -> Tensor:
    """Expected cross-entropy under Dir(alpha), and how far the wrong classes' evidence is from none.

    In float64: of much evidence the divergence is a small difference of large logarithms of factorials.

    Args:
        alpha: (B, C), each at least 1.
        targets: int64 (B,).
        weight: of the divergence.

    Returns:
        (B,), of alpha's type.
    """
    given, alpha = alpha.dtype, alpha.double()
    right = F.one_hot(targets, alpha.shape[1]).bool()
    expected = alpha.sum(1).digamma() - (alpha * right).sum(1).digamma()
    wrong = alpha.masked_fill(right, 1.0)
    total = wrong.sum(1, keepdim=True)
    uniform = math.lgamma(alpha.shape[1])  # log B(1, ..., 1) = -lgamma(C)
    divergence = total.squeeze(1).lgamma() - wrong.lgamma().sum(1) - uniform
    divergence = divergence + ((wrong - 1) * (wrong.digamma() - total.digamma())).sum(1)
    return (expected + weight * divergence).to(given)
