"""Whether a strategy on stored encodings is what it is on live frozen encoders: contract point 11.

    logits, and the loss of each of the first STEPS steps of training, differ by at most 1e-5

Rows are encoded in one batch and read in others, each as long as its longest sample. What is drawn in training
(dropout, modalities left out) is drawn from the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.budget import Pretraining
from fusionbench.testing.samples import batch_of, logits_of, options_of, quiet_trainer, setting_of
from fusionbench.training.encodings import EncodedData, StoredEncoding, pieces_of, rows_of

STEPS, SAMPLES, CLOSE = 5, 40, 1e-5
DEEP: dict[str, dict[str, Any]] = {
    "image": {"channels": [4, 6]},
    "vector": {"depth": 2},
    "sequence": {"depth": 3},
    "tokens": {"layers": 2},
}
"""Options of encoders with hidden layers, on those of the contract."""


def frozen_setting(task: TaskSpec, options: Mapping[str, Mapping[str, Any]] | None = None) -> Setting:
    """Encoders of several layers that are trained beforehand, and dropout; `options` of encoders, by kind."""
    found = setting_of(task)
    kinds = {spec.name: spec.kind for spec in task.modalities}
    own = options or {}
    of_kind = {kind: {**DEEP.get(kind, {}), **own.get(kind, {})} for kind in kinds.values()}
    encoders = {
        name: replace(one, options=one.options | of_kind[kinds[name]], pretrain=Pretraining())
        for name, one in found.encoders.items()
    }
    return replace(found, encoders=encoders, dropout=0.1, epochs=2)


def frozen(strategy: str, setting: Setting) -> FusionModule:
    """A strategy, alike whenever it is built."""
    torch.manual_seed(0)
    module: FusionModule = load("strategy", strategy)(setting, **options_of(strategy, setting.task))
    return module


def samples_of(task: TaskSpec) -> MultimodalBatch:
    """Of all lengths; of most, one or more modalities are missing, but never all."""
    found, draw = batch_of(task, SAMPLES), torch.Generator().manual_seed(3)
    here = torch.rand(SAMPLES, len(task.names), generator=draw) < 0.6
    here[torch.arange(SAMPLES), torch.randint(len(task.names), (SAMPLES,), generator=draw)] = True
    return replace(found, present={name: here[:, m].contiguous() for m, name in enumerate(task.names)})


class Held(MultimodalData):
    """A batch as a dataset: its rows are those of the batch, in three equal parts."""

    def __init__(self, samples: MultimodalBatch, task: TaskSpec) -> None:
        super().__init__()
        self.samples, self.of = samples, task
        self.parts = Split(*np.array_split(np.arange(len(samples)), 3))

    @property
    def task(self) -> TaskSpec:
        """The batch's."""
        return self.of

    def batch(self, rows: Rows) -> MultimodalBatch:
        """Those samples, as long as the longest of them that is present."""
        index = torch.from_numpy(np.asarray(rows))
        some = {name: value[index] for name, value in self.samples.present.items()}
        most = {name: _longest(mask[index] & some[name][:, None]) for name, mask in self.samples.masks.items()}
        inputs = {name: x[index][:, : most.get(name)] for name, x in self.samples.inputs.items()}
        masks = {name: mask[index][:, : most[name]] for name, mask in self.samples.masks.items()}
        return MultimodalBatch(inputs, masks, some, self.samples.targets[index], index)


def with_encodings(module: FusionModule, data: MultimodalData) -> MultimodalData:
    """The data as a run of the module meets them once all of its encoders' work is stored."""
    stored = {}
    for name, encoder in module.encoders.items():
        assert isinstance(encoder, Encoder)
        pieces = list(pieces_of(encoder, name, data, rows_of(data)))
        arrays = {of: np.concatenate([piece[of] for piece in pieces]) for of in pieces[0]}
        arrays["offsets"] = np.cumsum([0, *arrays.pop("lengths")])
        stored[name] = StoredEncoding(arrays, with_stages=module.reads_stages)
    return EncodedData(data, stored)


def _longest(mask: Tensor) -> int:
    return max(1, int((torch.arange(1, mask.shape[1] + 1) * mask).max()))


def in_parts(data: MultimodalData) -> list[MultimodalBatch]:
    """STEPS batches of neighbouring rows."""
    return [data.batch(rows) for rows in np.array_split(rows_of(data), STEPS)]


def first_losses(module: FusionModule, batches: Sequence[MultimodalBatch]) -> Tensor:
    """The loss of each step of one epoch."""
    noted = _Losses()
    trainer = quiet_trainer(epochs=1, callbacks=[noted])
    torch.manual_seed(1)
    steps: DataLoader[MultimodalBatch] = DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, steps, steps)
    return torch.stack(noted.losses)


def without_first(batch: MultimodalBatch) -> MultimodalBatch:
    """The same, but the first modality is absent from all samples that have another."""
    name, *others = batch.present
    alone = ~torch.stack([batch.present[other] for other in others]).any(0)
    return replace(batch, present=batch.present | {name: batch.present[name] & alone})


class _Losses(Callback):
    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Note the step's loss."""
        self.losses.append((outputs["loss"] if isinstance(outputs, dict) else outputs).detach())


def check_stored(make: Callable[[], FusionModule], batch: MultimodalBatch) -> None:
    """Point 11, of a strategy whose facts say that it can run on stored encodings.

    Args:
        make: builds it, alike whenever it is called.
        batch: SAMPLES of live inputs.
    """
    module = make()
    data = Held(batch, module.task)
    live, read = in_parts(data), in_parts(with_encodings(module, data))
    for one, other in zip(live, read, strict=True):
        _assert_close(logits_of(module, other), logits_of(module, one), "logits")
        found, expected = (logits_of(module, without_first(some)) for some in (other, one))
        _assert_close(found, expected, "logits of samples that lose a modality later")
    _assert_close(first_losses(make(), read), first_losses(make(), live), "the loss of the first steps")


def _assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    gap = (found - expected).abs().amax().item()
    assert gap <= CLOSE, f"{what} on stored and live encodings differ by {gap:.2g}"
