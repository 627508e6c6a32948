"""What every strategy is: a LightningModule that owns encoders, loss, metrics and optimiser (`_lightning`).

A strategy overrides `fuse` (nearly all), `encode` (fusion of inputs, or between the layers of encoders) or `loss`;
training-side methods use Lightning's own hooks besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.canonical import derived_seed
from fusionbench.core.catalogue import load, with_later
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.base import Encoder
from fusionbench.fusion._lightning import TrainableModule, learning_rate_factor
from fusionbench.fusion._setting import Optimiser, Setting
from fusionbench.fusion._stages import at_hand, given, without_absent
from fusionbench.fusion._targets import TargetScale
from fusionbench.metrics.nll import sample_nll
from fusionbench.metrics.scores import score_metrics
from fusionbench.plan.suite import Choice

__all__ = ["FusionModule", "Optimiser", "Prediction", "Setting", "learning_rate_factor", "sample_losses", "task_loss"]


@dataclass
class Prediction:
    """What a fusion says of B samples."""

    logits: Tensor
    """(B, C); of a regression the numbers, standardised."""
    unimodal: dict[str, Tensor] = field(default_factory=dict)
    """A modality's own logits (B, C), where the strategy has them."""
    penalty: Tensor | float = 0.0
    """Added to the loss."""
    weights: Tensor | None = None
    """(B, M): how much each modality counted, where the strategy says so."""


class FusionModule(TrainableModule):
    """One way of fusing modalities, trainable by any Lightning Trainer, and a plain layer too (see `forward`)."""

    display: ClassVar[str] = ""
    """As papers' tables and pictures write it, e.g. "GMU"; empty: its name in plain words."""
    paper: ClassVar[str] = ""
    """Its key in references.bib."""
    family: ClassVar[str] = "feature"
    """Under which heading its page stands; see cli/pages.py."""
    stage: ClassVar[Literal["input", "feature", "token", "decision", "training"]] = "feature"
    flow: ClassVar[Literal["parallel", "sequential"]] = "parallel"
    representation: ClassVar[Literal["single", "joint", "coordinated"]] = "joint"
    interaction: ClassVar[Literal["none", "limited", "full"]] = "full"
    """Whether the label may depend on modalities together: on XOR, none stays at chance and full reaches .95."""
    fidelity: ClassVar[Literal["faithful", "adapted", "inspired"]] = "faithful"
    departure: ClassVar[str] = ""
    """How it departs from the paper, in words."""
    cacheable: ClassVar[bool] = True
    """Whether it can run on stored encodings: False where it reads inputs, or acts within encoders."""
    reads_stages: ClassVar[bool] = False
    """Whether `fuse` reads `Encoded.stages`, by `level_vectors`: only then does it find them in stored encodings."""
    trains_encoders: ClassVar[bool] = False
    """Whether it is a way of training encoders, of which nothing is left where they are frozen."""
    batch_level: ClassVar[str] = ""
    """Why the loss of a batch is not the mean over its parts, so that several devices do not train what one trains."""
    uses: ClassVar[Literal["all", "one", "none"]] = "all"
    """Which modalities' encoders it builds: all, the one of its option `modality`, or none."""
    fitted: ClassVar[bool] = False
    """Whether it is solved for at once on the encodings of the training rows (`_fitted`): encoders have to be frozen;
    there is no learning rate, and no head whose width a track could solve for."""
    per_modality: ClassVar[str] = ""
    """An option that names a modality: where a suite leaves it out, the strategy is a row for each modality."""
    widened_by: ClassVar[str] = ""
    """An option that says how many times `setting.head_width` its heads are wide; empty: once."""
    own_width: ClassVar[str] = ""
    """An option, a whole number from 1 on, that makes wider what fuses, not the head: `solve: own` solves for it."""
    own_unit: ClassVar[int | str] = 1
    """Of which that option has to be a multiple: a number, or the name of another option."""
    tunable: ClassVar[Mapping[str, tuple[Any, ...] | list[Any]]] = {}
    """At most two options that the track `tuned` searches beside what all have: `(lowest, highest)`, `(lowest, highest,
    "log")`, or a list of values. Every value has to build, whatever the task: a literal, in the key of tuned runs."""
    copy_of: ClassVar[str] = ""
    """A strategy whose model it is but for gradients: of rows that are tested pair by pair, the two count once."""
    training_only: ClassVar[tuple[str, ...]] = ()
    """Submodules, by path such as `heads.own`, that no prediction needs: their parameters are counted apart."""
    needs_classes: ClassVar[str] = ""
    """What in its formula is of classes or their probabilities, so that it cannot predict numbers."""
    version: ClassVar[int] = 1
    """Raised when a change to this file alone moves its numbers: from 2 on it is part of its runs' keys."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting, self.task = setting, setting.task
        self.encoders = nn.ModuleDict(self.build_encoders())
        self.validation_scores = score_metrics(self.task, only=self.task.metric)
        self.test_scores = score_metrics(self.task)
        self.target_scale = TargetScale(self.task.classes) if self.task.kind == "regression" else None

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Why the strategy cannot be used here, in words a user understands; empty if it can."""
        return ""

    @classmethod
    def refusal(cls, setting: Setting) -> str:
        """All that `unsuitable` may say, and that numbers are to be predicted where classes are needed; or empty."""
        if setting.task.kind == "regression" and cls.needs_classes:
            return f"{cls.needs_classes}; this task is a regression, whose numbers have no classes"
        return cls.unsuitable(setting)

    def notes(self) -> tuple[str, ...]:
        """What a reader of its row has to know of this model once it is trained, a sentence each: for its record."""
        return ()

    def is_preparing(self) -> bool:
        """Whether, while it trains, all steps so far moved only what no prediction needs: no epoch of these is kept."""
        return False

    def modalities_used(self) -> tuple[str, ...]:
        """The modalities whose encoders are built."""
        return self.task.names if self.uses == "all" else ()

    def build_encoders(self) -> dict[str, Encoder]:
        """A fresh encoder for each modality used; input-stage fusion builds its own here."""
        chosen = self.setting.encoders
        return {name: self._encoder(self.task.modality(name), chosen[name]) for name in self.modalities_used()}

    def _encoder(self, spec: ModalitySpec, choice: Choice, purpose: str = "encoder") -> Encoder:
        # A generator of its own: encoders start alike whatever the strategy, and leave the fusion's draws alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.setting.seed, f"{purpose}/{spec.name}"))
            options = with_later("encoder", choice.name, choice.options)
            encoder: Encoder = load("encoder", choice.name)(spec, dropout=self.setting.dropout, **options)
        # Trained beforehand (the runner loads its weights) or for good: it stays as it is, and its dropout stays off.
        return encoder.requires_grad_(False).eval() if choice.is_frozen else encoder

    def train(self, mode: bool = True) -> Self:
        """As usual, but frozen encoders stay in eval mode."""
        super().train(mode)
        for name, choice in self.setting.encoders.items():
            if choice.is_frozen and name in self.encoders:
                self.encoders[name].eval()
        return self

    # --- override points -----------------------------------------------------------------------------------------

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """Each modality by its own encoder, or as it is stored; what stands in an absent one's place does not leak."""
        return {name: self._encode(name, batch) for name in self.encoders}

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """The strategy itself."""
        raise TypeError(f"{type(self).__name__} overrides fuse(encoded) -> Prediction")

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """Cross-entropy (multilabel: summed over classes; regression: squared error), plus the strategy's penalty."""
        return task_loss(prediction.logits, batch.targets, self.task) + prediction.penalty

    # --- prediction ----------------------------------------------------------------------------------------------

    def predict(self, batch: MultimodalBatch) -> Prediction:
        """Encode, then fuse."""
        return self.fuse(self.encode(batch))

    def forward(
        self,
        inputs: dict[str, Tensor],
        masks: dict[str, Tensor] | None = None,
        present: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits or numbers (B, C) from plain dicts by modality name: the strategy as a layer, and the form of export.

        Args:
            inputs: (B, *shape) per modality.
            masks: bool (B, T) per modality with steps; left out: every step is real.
            present: bool (B,) per modality; left out: all are there.
        """
        first = next(iter(inputs.values()))
        here = torch.ones(first.shape[0], dtype=torch.bool, device=first.device)  # len() would freeze an exported batch
        there = dict.fromkeys(inputs, here) | (present or {})
        blank = torch.zeros(0, device=first.device)
        logits = self.predict(MultimodalBatch(inputs, masks or {}, there, blank, blank)).logits
        return self.told(logits).to(logits.dtype)

    def _encode(self, name: str, batch: MultimodalBatch) -> Encoded:
        if name in batch.encoded:
            return at_hand(batch.encoded[name], batch.present[name])
        return without_absent(self.encoders[name](*given(name, batch)))


def task_loss(logits: Tensor, targets: Tensor, task: TaskSpec) -> Tensor:
    """The mean over samples of `sample_losses`."""
    if task.kind == "multiclass":
        return F.cross_entropy(logits.float(), targets)
    if task.kind == "regression":
        return F.mse_loss(logits.float(), targets.float())
    # Summed over classes: the mean over thousands of them leaves gradients near Adam's epsilon.
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum") / len(logits)


def sample_losses(logits: Tensor, targets: Tensor, task: TaskSpec) -> Tensor:
    """Cross-entropy, binary cross-entropy summed over classes, or the mean over the numbers of squared errors: (B,).

    Args:
        logits: (B, C).
        targets: int64 (B,) for multiclass, float (B, C) for multilabel, and for regression, standardised.
        task: says which of them it is.
    """
    if task.kind == "multiclass":
        return F.cross_entropy(logits.float(), targets, reduction="none")
    if task.kind == "regression":
        return F.mse_loss(logits.float(), targets.float(), reduction="none").mean(1)
    return sample_nll(logits.float(), targets)
