"""Two seeds of one modality: two models of it, trained apart from different initial weights, and their mean.

    p_k = softmax(MLP_k(LN(x_k)))     k = 1, 2: an encoder and a head of its own each; multilabel: sigmoid, (B, C)
    y   = log (p_1 + p_2) / 2         multilabel: the logit of that mean; regression: the mean of both, (B, C)

What beats the best of these rows gains from fusing, not from having two models: an ensemble of any two is better than
one. Each is trained by its own loss, and nothing of one enters the gradient of the other. The first starts, and without
dropout stays, as what `unimodal` of the same seed is; the second starts from other weights in its encoder and its head.
Both meet the same batches in the same order, and the epoch that is kept is chosen for the two together.

A frozen encoder is one and the same for both: then they differ in their heads alone, and the row says so.

Parameters: 2*((D+1)*W + (W+1)*C)
FLOPs: 2*2*(D*W + W*C)
Source: none; a suite's `unimodal_two_seeds` stands for one row per modality, the best of which is the baseline.
Use: always, beside `unimodal_ensemble`: a fusion of two encoders has to beat two encoders of one modality as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import unknown
from fusionbench.encoders.base import Encoder
from fusionbench.fusion._ensemble import mean_probability
from fusionbench.fusion._stages import given, without_absent
from fusionbench.fusion.base import FusionModule, Prediction, Setting, task_loss
from fusionbench.fusion.blocks import mlp_head


class TwoSeedsOfOneModality(FusionModule):
    """Average the probabilities of two models of one modality that never see each other."""

    display = "Two seeds"
    family = "baseline"
    stage, representation, interaction, uses = "decision", "single", "none", "one"
    per_modality = "modality"

    def __init__(self, setting: Setting, *, modality: str) -> None:
        if modality not in setting.task.names:
            raise unknown("modality", modality, setting.task.names)
        self.modality, self.second = modality, f"second:{modality}"
        super().__init__(setting)
        self.heads = nn.ModuleList(mlp_head(setting.width, setting) for _ in range(2))

    def modalities_used(self) -> tuple[str, ...]:
        """Only its own."""
        return (self.modality,)

    def build_encoders(self) -> dict[str, Encoder]:
        """That of every strategy, and one more from another seed; none more if it is frozen."""
        found, choice = super().build_encoders(), self.setting.encoders[self.modality]
        if not choice.is_frozen:
            found[self.second] = self._encoder(self.task.modality(self.modality), choice, "second encoder")
        return found

    def notes(self) -> tuple[str, ...]:
        """That there is one encoder, where there is."""
        if self.second in self.encoders:
            return ()
        return ("its two models share the encoder, which is frozen, and differ in their heads alone",)

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """The modality by each encoder; by one, it may be stored."""
        if self.second not in self.encoders:
            return super().encode(batch)
        inputs = given(self.modality, batch)
        return {name: without_absent(encoder(*inputs)) for name, encoder in self.encoders.items()}

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each encoder -> (B, C) of each head -> log of their mean probability (B, C)."""
        first = encoded[self.modality]
        both = (first, encoded.get(self.second, first))
        own = [head(one.pooled).float() for head, one in zip(self.heads, both, strict=True)]
        logits = torch.stack(own, 1)  # (B, 2, C)
        counted = torch.ones_like(logits[..., 0], dtype=torch.bool)
        names = (self.modality, self.second)
        return Prediction(mean_probability(logits, counted, self.task), dict(zip(names, own, strict=True)))

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The sum of both models' own losses."""
        return torch.stack([task_loss(own, batch.targets, self.task) for own in prediction.unimodal.values()]).sum()
