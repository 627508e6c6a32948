"""Small tasks, settings and batches that contract checks try plug-ins on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe, load
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskKind, TaskSpec
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice

STEPS = 4
"""T: steps of the sequences here, positions of the pictures' last map and moments of the spectrograms'."""
SHAPES: dict[str, tuple[int, ...]] = {
    "image": (2, 4, 4),
    "vector": (5,),
    "sequence": (STEPS, 3),
    "tokens": (STEPS,),
    "bag": (STEPS, 2),
    "audio": (2 * STEPS, 5),
}
WITH_IDS = ("tokens", "bag")
WITH_STEPS = ("sequence", *WITH_IDS)
VOCABULARY = 9
WIDTH, HEAD_WIDTH, CLASSES = 8, 20, 3
ENCODERS = {
    "image": Choice("small_cnn", {"width": WIDTH, "channels": [4]}),
    "vector": Choice("mlp", {"width": WIDTH}),
    "sequence": Choice("mlp", {"width": WIDTH}),
    "tokens": Choice("lstm", {"width": WIDTH, "hidden": 3, "embed": 4}),
    "bag": Choice("bag", {"width": WIDTH, "pool": "mean"}),
    "audio": Choice("logmel_cnn", {"width": WIDTH, "channels": [4]}),
}
TINY = {
    "hidden": 7,
    "rank": 3,
    "heads": 2,
    "layers": 2,
    "own_layers": 3,
    "factors": 4,
    "order": 2,
    "blocks": 5,
    "inner": 6,
    "sketch": 11,
    "opening": 0.7,
}
"""Options, for those that have them: small, and all different so that a formula cannot mix them up; gates are open."""


def task_of(kinds: Sequence[ModalityKind], kind: TaskKind = "multiclass") -> TaskSpec:
    """A task with one modality m0, m1, ... of each kind; a regression of one number, or of as many as classes."""
    ids = [VOCABULARY if one in WITH_IDS else None for one in kinds]
    specs = tuple(ModalitySpec(f"m{i}", one, SHAPES[one], ids[i]) for i, one in enumerate(kinds))
    return TaskSpec(specs, 1 if kind == "regression" and len(kinds) == 2 else CLASSES, kind)


def named_task(task: TaskSpec, names: Sequence[str]) -> TaskSpec:
    """The task with its modalities called so; none: as they are."""
    specs = [replace(spec, name=name) for spec, name in zip(task.modalities, names, strict=True)] if names else []
    return replace(task, modalities=tuple(specs)) if specs else task


def setting_of(task: TaskSpec, seed: int = 0, strategy: str = "") -> Setting:
    """Tiny widths, no weight decay, so that only a gradient moves a parameter; where it is fitted, frozen encoders."""
    frozen = Pretraining(epochs=1) if strategy and describe("strategy", strategy).facts.get("fitted") else None
    encoders = {spec.name: replace(ENCODERS[spec.kind], pretrain=frozen) for spec in task.modalities}
    optimiser = Optimiser(learning_rate=1e-2, weight_decay=0.0)
    return Setting(task, encoders, WIDTH, HEAD_WIDTH, 0.0, optimiser, seed)


def options_of(strategy: str, task: TaskSpec) -> dict[str, Any]:
    """All options of a strategy, tiny where they are known, the first modality where one is asked for."""
    plugin = describe("strategy", strategy)
    known = TINY | {str(plugin.facts.get("per_modality")): task.names[0]}
    return {name: known.get(name, option.default) for name, option in plugin.options.items()}


def built(strategy: str, task: TaskSpec, seed: int = 0) -> FusionModule:
    """A strategy on a task, in training mode."""
    torch.manual_seed(seed)
    module: FusionModule = load("strategy", strategy)(setting_of(task, seed, strategy), **options_of(strategy, task))
    return module


def batch_of(task: TaskSpec, size: int = 6, seed: int = 0) -> MultimodalBatch:
    """Random samples; sequences, tokens and bags of 1 to T steps, all modalities present."""
    draw = torch.Generator().manual_seed(seed)
    inputs = {spec.name: torch.randn(size, *spec.shape, generator=draw) for spec in task.modalities}
    for spec in task.modalities:
        if spec.kind in WITH_IDS:
            ids = torch.randint(1, VOCABULARY, (size, STEPS), generator=draw)
            inputs[spec.name] = torch.stack([ids, inputs[spec.name][..., 1]], -1) if spec.kind == "bag" else ids
    lengths = {m.name: torch.randint(1, STEPS + 1, (size, 1), generator=draw) for m in task.modalities}
    masks = {m.name: torch.arange(STEPS) < lengths[m.name] for m in task.modalities if m.kind in WITH_STEPS}
    present = {name: torch.ones(size, dtype=torch.bool) for name in task.names}
    targets = torch.arange(size) % task.classes
    if task.kind == "multilabel":
        targets = (torch.rand(size, task.classes, generator=draw) < 0.5).float()
    if task.kind == "regression":
        targets = torch.randn(size, task.classes, generator=draw)
    return MultimodalBatch(inputs, masks, present, targets, torch.arange(size))


def rows_of(batch: MultimodalBatch, rows: Tensor) -> MultimodalBatch:
    """Some samples of a batch."""

    def some(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value[rows] for name, value in values.items()}

    inputs, masks, present = some(batch.inputs), some(batch.masks), some(batch.present)
    return MultimodalBatch(inputs, masks, present, batch.targets[rows], batch.ids[rows])


def put(x: Tensor, where: Tensor, garbage: float) -> None:
    """Overwrite some places; ids, which cannot be NaN, with one that no vocabulary has."""
    x[where] = garbage if x.is_floating_point() else 10**6


def logits_of(module: FusionModule, batch: MultimodalBatch) -> Tensor:
    """Logits (B, C) in eval mode."""
    module.eval()
    with torch.no_grad():
        return module.predict(batch).logits


def quiet_trainer(
    epochs: int,
    limit_val_batches: int | None = None,
    callbacks: Sequence[Callback] = (),
    limit_train_batches: int | None = None,
) -> Trainer:
    """A plain Trainer on the CPU that writes nothing."""
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=limit_val_batches,
        limit_train_batches=limit_train_batches,
        callbacks=list(callbacks),
    )
