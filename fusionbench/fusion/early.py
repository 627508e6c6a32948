"""Early fusion: the raw inputs are joined into one, and a single encoder reads that.

    x = [x_1; ...; x_M]     images of one height and width: along channels, (B, C_1 + ... + C_M, H, W)
                            tokens of one vocabulary: one after another, (B, T_1 + ... + T_M), all padding last
                            anything else: laid flat, (B, F_1 + ... + F_M); a sequence filled up with zeros to its T
    y = MLP(LN(encoder(x))) logits, (B, D) -> (B, C)

The encoder is the first modality's; for what is laid flat it is `mlp` of the common width, unless all modalities have
one and the same that reads vectors. Absent modalities and padded steps are zeros (token id 0, masked); nothing else
tells them from real zeros.

It reads none of what the modalities' encoders give, so stored encodings are of no use to it: it runs on raw inputs, and
not at all where those encoders are frozen, since none was trained on the joint input.

Parameters: (D+1)*W + (W+1)*C
FLOPs: 2*(D*W + W*C)
Source: Snoek et al. 2005, "Early versus Late Fusion in Semantic Video Analysis", ACM Multimedia.
Use: where inputs lie on one another (two channels of one picture) and the relation is in the details that encoders
would average away; not where a modality may be missing.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head
from fusionbench.plan.suite import Choice

JOINT = "joint"
"""The name of the one input that the encoder reads."""


class EarlyFusion(FusionModule):
    """Concatenate raw inputs, encode them once, then classify by an MLP."""

    display = "Early fusion"
    family = "input"
    paper, stage, interaction, fidelity, cacheable = "snoek2005early", "input", "full", "adapted", False
    departure = "one network learned from raw inputs in place of a support vector machine on extracted features"

    def __init__(self, setting: Setting) -> None:
        reason = self.unsuitable(setting)
        if reason:
            raise UserError(f"strategy 'early': {reason}")
        super().__init__(setting)
        self.head = mlp_head(setting.width, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Token ids go together only with ids of one vocabulary, texts not at all; trained encoders read one each."""
        if any(choice.is_frozen or _comes_trained(choice) for choice in setting.encoders.values()):
            return "its one encoder reads all modalities at once; those here are trained or frozen for one each"
        if _way(setting.task) == "flat":
            ids = [f"'{spec.name}'" for spec in setting.task.modalities if spec.kind in ("tokens", "bag")]
            if ids:
                return f"{' and '.join(ids)}: token ids cannot be joined with another vocabulary, kind or weights"
            texts = [f"'{spec.name}'" for spec in setting.task.modalities if spec.kind == "text"]
            if texts:
                return f"{' and '.join(texts)}: a text cannot be joined with anything before it is read"
        return ""

    def build_encoders(self) -> dict[str, Encoder]:
        """The one encoder, of the joint input."""
        spec = _joint_spec(self.task)
        choices = [self.setting.encoders[name] for name in self.task.names]
        chosen, alike = choices[0], all(choice == choices[0] for choice in choices)
        if spec.kind == "vector" and not (alike and "vector" in load("encoder", chosen.name).kinds):
            chosen = Choice("mlp", {"width": self.setting.width})
        return {JOINT: self._encoder(spec, chosen)}

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """The joint input, encoded; it is present where any modality is."""
        present = torch.stack([batch.present[name] for name in self.task.names], 1).any(1)
        parts = [self._real(spec, batch) for spec in self.task.modalities]
        if _way(self.task) == "tokens":
            mask = torch.cat([_steps(spec, batch) for spec in self.task.modalities], 1)
            return {JOINT: self.encoders[JOINT](*_closed_up(torch.cat(parts, 1), mask), present)}
        if _way(self.task) == "flat":
            parts = [_flat(part, spec) for part, spec in zip(parts, self.task.modalities, strict=True)]
        return {JOINT: self.encoders[JOINT](torch.cat(parts, 1), None, present)}

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) -> (B, C)."""
        return Prediction(self.head(encoded[JOINT].pooled))

    def _real(self, spec: ModalitySpec, batch: MultimodalBatch) -> Tensor:
        """The modality's input with zeros where it is absent or only padding."""
        x = batch.inputs[spec.name]
        real = batch.present[spec.name][:, None]
        if spec.kind in ("tokens", "sequence"):
            real = _steps(spec, batch)
        return torch.where(real.view(*real.shape, *[1] * (x.dim() - 2)), x, torch.zeros_like(x))


def _comes_trained(choice: Choice) -> bool:
    return bool(load("encoder", choice.name).comes_trained(choice.options))


def _way(task: TaskSpec) -> Literal["image", "tokens", "flat"]:
    """How the modalities of a task are joined."""
    specs = task.modalities
    if all(spec.kind == "image" and spec.shape[1:] == specs[0].shape[1:] for spec in specs):
        return "image"
    if all(spec.kind == "tokens" and spec.vocabulary == specs[0].vocabulary for spec in specs):
        return "tokens"
    return "flat"


def _joint_spec(task: TaskSpec) -> ModalitySpec:
    way, first = _way(task), task.modalities[0]
    if way == "flat":
        return ModalitySpec(JOINT, "vector", (sum(math.prod(spec.shape) for spec in task.modalities),))
    joined = sum(spec.shape[0] for spec in task.modalities)
    return ModalitySpec(JOINT, way, (joined, *first.shape[1:]), first.vocabulary)


def _steps(spec: ModalitySpec, batch: MultimodalBatch) -> Tensor:
    """Which steps are real, bool (B, T), of the samples that have the modality."""
    present, mask = batch.present[spec.name][:, None], batch.masks.get(spec.name)
    return present.expand(-1, batch.inputs[spec.name].shape[1]) if mask is None else mask & present


def _closed_up(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and mask, (B, T) each, real steps first: padding between two modalities would move the second one's."""
    order = (~mask).int().argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


def _flat(x: Tensor, spec: ModalitySpec) -> Tensor:
    """(B, *shape) -> (B, F); a batch of shorter sequences is filled up to the longest that occurs."""
    if spec.kind == "sequence" and x.shape[1] < spec.shape[0]:
        x = F.pad(x, (0, 0, 0, spec.shape[0] - x.shape[1]))
    if x.shape[1:] != spec.shape:
        raise UserError(f"strategy 'early': '{spec.name}' comes as {tuple(x.shape[1:])}, declared as {spec.shape}")
    return x.flatten(1)
