"""What every strategy has to keep, as plain functions: the contract's tests call them, and so do the tests of them.

Each raises AssertionError with the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Metric

from fusionbench.bench.matching import by_head, matched
from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskKind, TaskSpec
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.measure.size import fusion_parameters, measure
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice

STEPS = 4
"""T: steps of the sequences here, and positions of the pictures' last map."""
SHAPES: dict[str, tuple[int, ...]] = {
    "image": (2, 4, 4),
    "vector": (5,),
    "sequence": (STEPS, 3),
    "tokens": (STEPS,),
    "bag": (STEPS, 2),
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
TRAINED = [name for name in names("strategy") if describe("strategy", name).facts.get("uses") != "none"]
"""Strategies that look at something."""
FITTED = [name for name in TRAINED if describe("strategy", name).facts.get("fitted")]
"""Those that are solved for at once: their encoders are frozen, and they have no head."""
WITH_HEAD = [name for name in TRAINED if name not in FITTED]


def task_of(kinds: Sequence[ModalityKind], kind: TaskKind = "multiclass") -> TaskSpec:
    """A task with one modality m0, m1, ... of each kind; a regression of one number, or of as many as classes."""
    ids = [VOCABULARY if one in WITH_IDS else None for one in kinds]
    specs = tuple(ModalitySpec(f"m{i}", one, SHAPES[one], ids[i]) for i, one in enumerate(kinds))
    return TaskSpec(specs, 1 if kind == "regression" and len(kinds) == 2 else CLASSES, kind)


def setting_of(task: TaskSpec, seed: int = 0, strategy: str = "") -> Setting:
    """Tiny widths; no weight decay, so that only a gradient moves a parameter; frozen encoders for those of FITTED."""
    frozen = Pretraining(epochs=1) if strategy in FITTED else None
    encoders = {spec.name: replace(ENCODERS[spec.kind], pretrain=frozen) for spec in task.modalities}
    optimiser = Optimiser(learning_rate=1e-2, weight_decay=0.0)
    return Setting(task, encoders, WIDTH, HEAD_WIDTH, 0.0, optimiser, seed)


def options_of(strategy: str, task: TaskSpec) -> dict[str, Any]:
    """All options of a shipped strategy, tiny where they are known, the first modality where one is asked for."""
    plugin = describe("strategy", strategy)
    known = TINY | {str(plugin.facts.get("per_modality")): task.names[0]}
    return {name: known.get(name, option.default) for name, option in plugin.options.items()}


def built(strategy: str, task: TaskSpec, seed: int = 0) -> FusionModule:
    """A shipped strategy on a task, in training mode."""
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


def quiet_trainer(epochs: int, limit_val_batches: int | None = None, callbacks: Sequence[Callback] = ()) -> Trainer:
    """A plain Trainer on the CPU that writes nothing."""
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=limit_val_batches,
        callbacks=list(callbacks),
    )


def check_logits(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 1: one finite number per sample and class."""
    logits = logits_of(module, batch)
    assert logits.shape == (len(batch), module.task.classes), f"logits are {tuple(logits.shape)}"
    assert logits.isfinite().all(), "logits are not finite"


def check_learning(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 2: what the loss depends on is registered, and a few steps of a plain Trainer change every parameter."""
    registered = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
    stray = [name for name, tensor in _held(module) if id(tensor) not in registered]
    assert not stray, f"not registered, so neither trained nor saved: {', '.join(stray)}"
    leaves = _leaves(module.train().loss(module.predict(batch), batch))
    assert all(id(leaf) in registered for leaf in leaves), "the loss depends on a tensor that is not registered"
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    steps: DataLoader[MultimodalBatch] = DataLoader([batch] * 4, batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(epochs=1, limit_val_batches=0).fit(module, steps, steps)
    frozen = {id(p) for p in module.encoders.parameters() if not p.requires_grad}
    moved = {name: p for name, p in module.named_parameters() if id(p) not in frozen}
    same = [name for name, parameter in moved.items() if torch.equal(parameter, before[name])]
    assert not same, f"never changed: {', '.join(same)}"


def check_samples_are_independent(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 3: a sample's logits depend neither on its batch mates, nor on the order, nor on the padding."""
    expected = logits_of(module, batch)
    order = torch.arange(len(batch)).flip(0)
    _assert_close(logits_of(module, rows_of(batch, order)), expected[order], "the order of the batch matters")
    for row in range(len(batch)):
        alone = rows_of(batch, torch.tensor([row]))
        _assert_close(logits_of(module, alone), expected[row : row + 1], "a sample depends on its batch mates")
        steps = {name: int(mask.sum()) for name, mask in alone.masks.items()}
        inputs = {name: x[:, : steps.get(name)] if name in steps else x for name, x in alone.inputs.items()}
        masks = {name: mask[:, : steps[name]] for name, mask in alone.masks.items()}
        trimmed = logits_of(module, replace(alone, inputs=inputs, masks=masks))
        _assert_close(trimmed, expected[row : row + 1], "the length of the padding matters")
    for garbage in (1e4, torch.nan):
        padded = {name: x.clone() for name, x in batch.inputs.items()}
        for name, mask in batch.masks.items():
            put(padded[name], ~mask, garbage)
        found = logits_of(module, replace(batch, inputs=padded))
        _assert_close(found, expected, f"{garbage} in the padding matters")


def check_modalities_matter(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 4: changing a modality that the strategy uses changes some logit; changing another changes none."""
    before, other = logits_of(module, batch), batch_of(module.task, len(batch), seed=1)
    for name in module.task.names:
        inputs = batch.inputs | {name: other.inputs[name]}
        moved = (logits_of(module, replace(batch, inputs=inputs)) - before).abs().amax().item()
        if name in module.modalities_used():
            assert moved > 1e-6, f"'{name}' does not matter"
        else:
            assert moved == 0.0, f"'{name}' matters, though it is not used"


def check_missing_modalities(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 5: with any modalities missing but all, logits are finite, and what stands in their place is not seen."""
    names = module.task.names
    subsets = [here for here in product((False, True), repeat=len(names)) if any(here)]
    mixed = rows_of(batch, torch.arange(len(subsets)) % len(batch))
    mixed = replace(mixed, present={name: torch.tensor([s[i] for s in subsets]) for i, name in enumerate(names)})
    expected = logits_of(module, mixed)
    assert expected.isfinite().all(), "logits are not finite where a modality is missing"
    for garbage in (0.0, 1e6, torch.inf, torch.nan):
        inputs = {name: x.clone() for name, x in mixed.inputs.items()}
        masks = {name: mask.clone() for name, mask in mixed.masks.items()}
        for name, here in mixed.present.items():
            put(inputs[name], ~here, garbage)
            if name in masks:
                masks[name][~here] = bool(garbage)
        found = logits_of(module, replace(mixed, inputs=inputs, masks=masks))
        _assert_close(found, expected, f"{garbage} in the place of a missing modality is seen")


def check_size(module: FusionModule, doc: str, options: Mapping[str, Any], batch: MultimodalBatch) -> None:
    """Point 6: parameters are as many as the docstring's formula says, FLOPs within 1 % of it."""
    letters = letters_of(module)
    found = measure(module, batch)
    parameters = evaluated(doc, "Parameters", letters | dict(options))
    assert found["fusion_parameters"] == parameters, f"{found['fusion_parameters']} parameters, formula {parameters}"
    training = evaluated(doc, "In training", letters | dict(options)) if module.training_only else 0
    assert found["training_parameters"] == training, f"{found['training_parameters']} in training, formula {training}"
    flops = evaluated(doc, "FLOPs", letters | dict(options))
    counted = found["fusion_flops_per_sample"]
    assert abs(counted - flops) <= 0.01 * flops, f"{counted} FLOPs per sample, formula {flops}"


def check_matching(
    make: Callable[[Setting], FusionModule], doc: str, options: Mapping[str, Any], setting: Setting
) -> None:
    """Point 9: the head's width gives any number of parameters within 5 %, or a reason that names the range.

    Args:
        make: builds the strategy for a setting.
        doc: its docstring, whose formula says what each width gives.
        options: those of its that the formula names.
        setting: with any head width.
    """
    letters = letters_of(make(setting)) | dict(options)
    formula = {width: round(evaluated(doc, "Parameters", letters | {"W": width})) for width in (1, 50, 400)}
    assert formula[1] < formula[50] < formula[400], "the width of the head changes nothing"
    count = by_head(make, setting)
    for target in (round(1.04 * formula[50]), round(0.97 * formula[400])):
        match = matched(count, target)
        assert not match.problem, match.problem
        module = make(replace(setting, head_width=match.width))
        found = fusion_parameters(module)
        assert found == match.parameters, f"{found} parameters, {match.parameters} were found without memory"
        assert abs(found - target) <= 0.05 * target, f"{found} parameters for a target of {target}"
    small = matched(count, formula[1] // 2)
    assert f"{formula[1]:,} to " in small.problem, f"{small.target} is out of reach, yet the range is not named"


def letters_of(module: FusionModule) -> dict[str, int]:
    """What the letters of formulas stand for; all modalities are of one kind and have encoders that are alike."""
    spec = module.task.modalities[0]
    letters = {"M": len(module.modalities_used()), "D": WIDTH, "W": HEAD_WIDTH, "C": module.task.classes}
    steps = STEPS if spec.kind in ("image", *WITH_STEPS) else 1
    letters |= {"T": steps, "P": 0 if spec.kind == "bag" else steps}  # P: steps that have a place in an order.
    if spec.name in module.encoders:
        widths: Any = module.encoders[spec.name].stage_widths
        letters |= {"S": len(widths), "K": widths[-1]}  # S stages with K channels each.
        letters["E"] = sum(parameter.numel() for parameter in module.encoders[spec.name].parameters())
    return letters


def evaluated(doc: str, word: str, letters: Mapping[str, Any]) -> float:
    """The value of the formula after `word:` in a docstring; it goes on over indented lines."""
    found = re.search(rf"^{word}: (.+(?:\n[ \t]+.+)*)", doc, re.MULTILINE)
    assert found, f"the docstring has no line '{word}:'"
    return float(eval(" ".join(found[1].split()), {"__builtins__": {}, "log2": math.log2}, dict(letters)))


def _assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    gap = (found - expected).abs().amax().item()
    assert gap <= 1e-5, f"{what}: logits differ by {gap:.2g}"  # Also false for NaN.


def _held(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a module or one below it holds in a plain attribute, list, tuple or dict."""
    for path, part in module.named_modules():
        if isinstance(part, Metric):  # Metrics keep their states as plain attributes, by design.
            continue
        for name, value in vars(part).items():
            if not name.startswith("_"):
                yield from _tensors(f"{path}.{name}".lstrip("."), value)


def _tensors(path: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(path, item)


def _leaves(loss: Tensor) -> list[Tensor]:
    """The tensors that require gradients and that a loss depends on."""
    found, seen, left = [], set(), [loss.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.extend([node.variable] if hasattr(node, "variable") else [])
            left.extend(parent for parent, _ in node.next_functions)
    return found
