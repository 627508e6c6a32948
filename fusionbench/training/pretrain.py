"""Pretraining: one encoder trained beforehand, alone, on its modality's own labels, or on the task's where it has none.

    y_m = MLP(encoder(x_m))      the strategy `unimodal` on those labels; the MLP is thrown away

From raw inputs, neither modality of a synergy has a gradient to start from: each alone says nothing of the label. What
an encoder has learned about its own modality gives fusion something to work on. And encoders that stay as they are are
run once for all fusions.

Of an encoder with a frozen trunk, the map behind that alone is trained. What the trunk gives is the same in every
epoch, so training rows are seen as validation rows are, and may be read from what was stored of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import Diverged
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.halves import ENCODERS, keep_half
from fusionbench.data.orders import EpochOrder
from fusionbench.data.splits import Rows
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import Choice
from fusionbench.training.encodings import EncodedData
from fusionbench.training.fit import OnEpoch, fit, validate
from fusionbench.training.trunks import BehindTrunk, StoredTrunk

TrunkOf = Callable[[Encoder], StoredTrunk | None]
"""Opens what the trunk of an encoder gives; None: it has none, or runs live."""


@dataclass
class Pretrained:
    """An encoder's weights after its best epoch, and how well it does there with the head it was trained with."""

    weights: dict[str, Tensor]
    scores: dict[str, float]
    """On the rows it was trained on, seen without augmentation, and on validation: "train/accuracy",
    "validation/accuracy", nll likewise; `epoch`, its number from 1."""
    metric: str
    """The one of them by which the epoch was chosen."""
    rows: int
    """How many it was trained on."""


def pretrain(
    choice: Choice,
    modality: str,
    data: MultimodalData,
    seed: int,
    on_epoch: OnEpoch,
    trunk_of: TrunkOf = lambda _: None,
) -> Pretrained:
    """Train an encoder under the budget that its choice names.

    Args:
        choice: the encoder; its `pretrain` is the budget, and says whether it has all training rows or half of them.
        modality: whose encoder it is.
        data: set up, with the budget's batch size; has the encoders' half of its training rows afterwards, if that is
            what is asked for.
        seed: decides the encoder's initial weights, as in any run; other draws come from the global generators.
        on_epoch: told of every epoch.
        trunk_of: what the trunk of the encoder, if it has one, gives of all rows; None: it runs live.

    Raises:
        Diverged: as `fit`.
        UserError: the training rows cannot be cut into halves.
    """
    assert choice.pretrain is not None
    budget = choice.pretrain
    if budget.rows == "half":
        keep_half(data, ENCODERS)
    one = OneModality(data, modality)
    module = with_head(choice, one, seed)
    encoder = module.encoders[modality]
    assert isinstance(encoder, Encoder)
    one.augments = encoder.frozen_trunk() is None
    trunk = trunk_of(encoder)
    if trunk is not None:
        module.encoders[modality] = BehindTrunk(encoder)
    fitted = fit(module, _through(one, trunk), budget, on_epoch)
    assert one.parts is not None
    scores = {**_on_training_rows(module, one, choice, trunk), **fitted.validation}
    return Pretrained(encoder.state_dict(), scores, one.task.metric, len(one.parts.train))


def with_head(choice: Choice, data: OneModality, seed: int) -> FusionModule:
    """An encoder with a head, as pretraining starts.

    Args:
        choice: the encoder.
        data: of its modality.
        seed: decides its initial weights.
    """
    assert choice.pretrain is not None
    budget = choice.pretrain
    width = int(choice.options["width"])
    optimiser = Optimiser.of(budget)
    encoders = {data.modality: replace(choice, pretrain=None)}  # Here it is not frozen.
    setting = Setting(data.task, encoders, width, width, budget.dropout, optimiser, seed, budget.head_norm)
    module: FusionModule = load("strategy", "unimodal")(setting, modality=data.modality)
    return module


def _through(data: OneModality, trunk: StoredTrunk | None) -> MultimodalData:
    """The data as they are, or with what the trunk gives of them in the place of inputs."""
    return data if trunk is None else EncodedData(data, {data.modality: trunk})


def _on_training_rows(
    module: FusionModule, data: OneModality, choice: Choice, trunk: StoredTrunk | None
) -> dict[str, float]:
    """The scores of validation on what the model was trained on."""
    assert data.parts is not None
    assert choice.pretrain is not None
    seen = OneModality(data.data, data.modality)
    seen.parts = replace(data.parts, validation=data.parts.train)
    found = validate(module, _through(seen, trunk), choice.pretrain)
    if not all(map(math.isfinite, found.values())):
        raise Diverged("a score on its training rows was not finite")
    return {name.replace("validation/", "train/"): value for name, value in found.items()}


class OneModality(MultimodalData):
    """A dataset as one modality's: its own labels are the targets if it has any; never asked for its test rows."""

    def __init__(self, data: MultimodalData, modality: str) -> None:
        super().__init__(data.root, data.seed, data.batch_size)
        self.data, self.modality = data, modality
        self.parts, self.fingerprint = data.parts, data.fingerprint  # Set up already: `setup` has nothing to do.
        self.train_missing = data.train_missing

    @property
    def has_own_labels(self) -> bool:
        """Whether the targets are the modality's own, not the task's."""
        return self.modality in self.data.auxiliary_classes

    @property
    def task(self) -> TaskSpec:
        """The one modality; as many classes as it has labels, or the task's."""
        modality = self.data.task.modality(self.modality)
        if not self.has_own_labels:
            return replace(self.data.asked, modalities=(modality,))
        return TaskSpec((modality,), self.data.auxiliary_classes[self.modality])

    def prepare_data(self) -> None:
        """Done by the dataset."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The dataset's, with the targets of the modality."""
        return self._own(self.data.batch(rows))

    def labels(self, rows: Rows) -> MultimodalBatch:
        """The dataset's, with the targets of the modality."""
        return self._own(self.data.labels(rows))

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        """The dataset's, with the targets of the modality."""
        return self._own(self.data.train_batch(rows, epoch))

    def train_order(self) -> EpochOrder:
        """The dataset's."""
        return self.data.train_order()

    def _own(self, batch: MultimodalBatch) -> MultimodalBatch:
        return replace(batch, targets=batch.auxiliary[self.modality]) if self.has_own_labels else batch
