"""Pretraining: one encoder trained beforehand, alone, on its modality's own labels.

    y_m = MLP(encoder(x_m))      the strategy `unimodal` on the labels of modality m; the MLP is thrown away

From raw inputs, neither modality of a synergy has a gradient to start from: each alone says nothing of the label. What
an encoder has learned about its own modality gives fusion something to work on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import EpochOrder
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import Choice
from fusionbench.training.fit import OnEpoch, fit


@dataclass
class Pretrained:
    """An encoder's weights after its best epoch."""

    weights: dict[str, Tensor]
    validation: dict[str, float]
    """That epoch's validation scores on the modality's own labels, and its number."""


def pretrain(choice: Choice, modality: str, data: MultimodalData, seed: int, on_epoch: OnEpoch) -> Pretrained:
    """Train an encoder under the budget that its choice names.

    Args:
        choice: the encoder; its `pretrain` is the budget.
        modality: one of those in the dataset's `auxiliary_classes`.
        data: set up, with the budget's batch size.
        seed: decides the encoder's initial weights, as in any run; other draws come from the global generators.
        on_epoch: told of every epoch.

    Raises:
        Diverged: as `fit`.
    """
    assert choice.pretrain is not None
    budget, own = choice.pretrain, OwnLabels(data, modality)
    width = int(choice.options["width"])
    optimiser = Optimiser(budget.learning_rate, budget.weight_decay)
    encoders = {modality: replace(choice, pretrain=None)}  # Here it is not frozen.
    setting = Setting(own.task, encoders, width, width, budget.dropout, optimiser, seed, budget.head_norm)
    module: FusionModule = load("strategy", "unimodal")(setting, modality=modality)
    fitted = fit(module, own, budget, on_epoch)
    encoder: nn.Module = module.encoders[modality]
    return Pretrained(encoder.state_dict(), fitted.validation)


class OwnLabels(MultimodalData):
    """A dataset's rows with one modality's own labels as targets; never asked for its test rows."""

    def __init__(self, data: MultimodalData, modality: str) -> None:
        super().__init__(data.root, data.seed, data.batch_size)
        self.data, self.modality = data, modality
        self.parts, self.fingerprint = data.parts, data.fingerprint  # Set up already: `setup` has nothing to do.

    @property
    def task(self) -> TaskSpec:
        """The one modality; as many classes as it has labels."""
        classes = self.data.auxiliary_classes[self.modality]
        return TaskSpec((self.data.task.modality(self.modality),), classes)

    def prepare_data(self) -> None:
        """Done by the dataset."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The dataset's, with other targets."""
        return self._own(self.data.batch(rows))

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        """The dataset's, with other targets."""
        return self._own(self.data.train_batch(rows, epoch))

    def train_order(self) -> EpochOrder:
        """The dataset's."""
        return self.data.train_order()

    def _own(self, batch: MultimodalBatch) -> MultimodalBatch:
        return replace(batch, targets=batch.auxiliary[self.modality])
