"""Product of experts: the class posteriors of all modalities are multiplied, so that each may veto a class.

    p_m  = softmax(MLP_m(x_m))                 an expert's posterior; multilabel: a sigmoid for every class, (B, C)
    p    = prod_m p_m / sum_c prod_m p_m       over the modalities that are present, (B, C)
    y    = sum_m log p_m                       whose softmax is p; multilabel: the sum of logits, whose sigmoid is p

An absent expert leaves the product. The loss is the negative log-likelihood of p: over classes the normaliser is a
plain sum, so that no contrastive divergence is needed. A sum over modalities in its logarithm: no XOR. Unlike in the
mean of `late`, experts that agree make each other surer. Multilabel: their biases start at shares of the prior of
`class_layer`, so that the product starts from it.

Parameters: M*((D+1)*W + (W+1)*C)
FLOPs: M*2*(D*W + W*C)
Source: Hinton 2002, "Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8):
distributions multiplied and renormalised.
Use: where modalities are independent evidence for the same classes.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked


class ProductOfExperts(FusionModule):
    """Multiply the class posteriors of one MLP per modality."""

    display = "Product of experts"
    family = "decision"
    needs_classes = "its experts are class posteriors; of equally wide Gaussians the product would be the mean, `late`"
    paper, stage, representation, interaction = "hinton2002training", "decision", "single", "none"
    fidelity = "adapted"
    departure = "experts on class posteriors, one for each modality, in place of densities of the data"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.heads = nn.ModuleDict({name: _expert(setting) for name in setting.task.names})

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> the sum of their log-posteriors (B, C)."""
        unimodal = {name: self.heads[name](one.pooled).float() for name, one in encoded.items()}
        _, present = stacked(encoded)
        votes = torch.stack(list(unimodal.values()), 1)  # (B, M, C)
        if self.task.kind == "multiclass":
            votes = votes.log_softmax(-1)
        return Prediction((votes * present[..., None]).sum(1), unimodal)


def _expert(setting: Setting) -> nn.Sequential:
    head = mlp_head(setting.width, setting)
    if setting.task.kind == "multilabel":
        *_, bias = head.parameters()
        with torch.no_grad():
            bias.div_(len(setting.task.names))
    return head
