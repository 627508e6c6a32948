"""A trained model and its data, as measures of trained models get them: what it says of a batch, how good that is.

Nothing here draws from the global generators or trains: scores of a run are the same with measures and without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.canonical import sha256_of
from fusionbench.core.scores import TIES, good
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array
from fusionbench.fusion._targets import TargetScale
from fusionbench.fusion.base import FusionModule
from fusionbench.metrics.scores import computed, score_metrics

Tell = Callable[[int, int], None]
"""Told how many passes are done, and how many there are."""
Pieces = Callable[[nn.Module], Iterator[dict[str, Array]]]
"""What is to be stored of an encoder, some rows at a time, as `training.encodings.pieces_of` gives it."""


class ReadsEncodings(Protocol):
    """Stored encodings of one modality, or what stands in for them."""

    def of(self, rows: Rows, present: Tensor) -> Encoded:
        """As `StoredEncoding.of`."""


class SharedEncodings(Protocol):
    """What frozen encoders make of inputs that a measure has changed: stored for one run of a seed, read by all."""

    def of(self, modality: str, what: Mapping[str, Any], rows: Rows, pieces: Pieces) -> ReadsEncodings:
        """Open them; they are computed if they are not there.

        Args:
            modality: whose encoder it is.
            what: JSON: all that decides them but the data, and the encoder with its weights.
            rows: (n,) the numbers that the pieces give their rows, in rising order.
            pieces: computes them from the encoder.

        Raises:
            UserError: the disk is full, or what is stored is damaged.
        """


@dataclass(frozen=True)
class Counted:
    """Scores of what was added so far."""

    metrics: MetricCollection
    scale: TargetScale | None

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Some rows: outputs (B, C), and targets as a batch has them."""
        if self.scale is None:
            self.metrics.update(outputs, targets)
        else:  # From the mean: a large one would cost digits.
            mean = self.scale.mean.cpu()
            self.metrics.update(outputs.double() * self.scale.deviation.cpu(), targets.cpu() - mean)

    def scores(self) -> dict[str, float]:
        """By name; without those that are not defined on these rows."""
        return {name: float(value) for name, value in computed(self.metrics).items()}


@dataclass(frozen=True)
class Trained:
    """A run's model with the weights of its best epoch."""

    module: FusionModule
    data: MultimodalData
    """Set up; its batches hold what the model was tested with: inputs, or stored encodings in their place."""
    inputs: MultimodalData
    """The same rows as inputs, for what is done to these."""
    precision: str = "32-true"
    """That of the run's budget."""
    tell: Tell = field(default=lambda *_: None)
    shared: SharedEncodings | None = None
    """Where the run reads stored encodings."""

    @property
    def task(self) -> TaskSpec:
        """With the metric that ranks."""
        return self.inputs.asked

    @property
    def seed(self) -> int:
        """Of all draws of measures: from the contents of the data and the test rows, the same for every run on them."""
        parts = self.inputs.parts
        assert parts is not None
        return int(sha256_of(["measures", self.inputs.fingerprint, parts.test_sha256]), 16) % 2**63

    def some(self, rows: Rows, most: int, purpose: str) -> Rows:
        """At most so many of the rows, sorted; which, the data and the purpose say alone."""
        if len(rows) <= most:
            return np.asarray(rows)
        rng = np.random.default_rng([self.seed, *purpose.encode()])
        return np.sort(rng.choice(rows, most, replace=False))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The model in eval mode, on the device that computes fastest, in the precision of its run; then as it was."""
        module, training = self.module, self.module.training
        home = next(module.parameters(), torch.empty(0)).device
        device = "cuda" if torch.cuda.is_available() else "cpu"
        half = self.precision == "bf16-mixed"
        # As Lightning's own, which keeps no cast weights either.
        cast = torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False) if half else nullcontext()
        module.eval().to(device)
        try:
            with torch.inference_mode(), cast:
                yield
        finally:
            module.train(training).to(home)

    def outputs(self, batch: MultimodalBatch) -> Tensor:
        """What the model gives, float32 (B, C), on the CPU: logits, or standardised numbers; within `opened`."""
        device = next(self.module.parameters(), torch.empty(0)).device
        return self.module.predict(batch.to(device)).logits.float().cpu()

    def scores(self, found: Iterable[tuple[Tensor, Tensor]], *, ties: bool = True) -> dict[str, float]:
        """The score that ranks and NLL, or RMSE, by the record's names without their part: {"accuracy": .., "nll": ..}.

        Args:
            found: outputs (B, C), and targets as a batch has them, some rows at a time. One that is not defined on
                these rows is left out.
            ties: whether NLL, or RMSE, is wanted: of thousands of classes it takes as long as the model.
        """
        counted = self.counted(ties=ties)
        for outputs, targets in found:
            counted.add(outputs, targets)
        return counted.scores()

    def counted(self, *, ties: bool = True) -> Counted:
        """What `scores` counts with, for whoever has several to count at once."""
        return Counted(score_metrics(self.task, only=self.task.metric, ties=ties), self.module.target_scale)

    def told(self, outputs: Tensor) -> Tensor:
        """Outputs as a reader is told them: logits as they are, numbers in the data's unit, (B, C)."""
        scale = self.module.target_scale
        return outputs if scale is None else scale.mean.cpu() + outputs.double() * scale.deviation.cpu()

    def goodness(self, outputs: Tensor, targets: Tensor) -> float | None:
        """The score that ranks, its sign turned where lower is better; None where it is not defined on these rows."""
        value = self.scores([(outputs, targets)], ties=False).get(self.task.metric)
        return None if value is None else good(self.task.metric, value)

    @property
    def tie(self) -> str:
        """What is computed beside the score that ranks: nll or rmse."""
        return TIES[self.task.kind]
