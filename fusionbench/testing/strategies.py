"""What every strategy has to keep, as plain functions; each raises AssertionError with the reason."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Metric

from fusionbench.core.batch import MultimodalBatch
from fusionbench.fusion.base import FusionModule
from fusionbench.testing.samples import batch_of, logits_of, put, quiet_trainer, rows_of


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


def check_state_dict(module: FusionModule, other: FusionModule, batch: MultimodalBatch) -> None:
    """Point 7: what is saved brings back the model, in one of other weights."""
    stream = io.BytesIO()
    torch.save(module.state_dict(), stream)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    same = torch.equal(logits_of(other, batch), logits_of(module, batch))
    assert same, "a model with the state of another gives other logits: something is not in its state_dict"


def check_seed(make: Callable[[int], FusionModule]) -> None:
    """Point 7: the same seed gives the same weights, another seed others.

    Args:
        make: builds the strategy under a seed.
    """
    one, same, other = (list(make(seed).parameters()) for seed in (0, 0, 1))
    alike = all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert alike, "two models of one seed have different weights: something draws by another generator"
    moved = any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert moved == bool(one), "two models of different seeds have the same weights"


def check_bfloat16(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 7: under autocast to bfloat16 logits are near, and the loss is finite."""
    with torch.autocast("cpu", torch.bfloat16):
        rough = logits_of(module, batch)
        module.train()
        loss = module.loss(module.predict(batch), batch)
    assert loss.isfinite(), "the loss under bfloat16 is not finite"
    torch.testing.assert_close(rough.float(), logits_of(module, batch), rtol=0.05, atol=0.05)


def check_export(module: FusionModule, batch: MultimodalBatch, other: MultimodalBatch) -> None:
    """Point 7: torch.export takes plain dicts, and what it gives takes batches of another size.

    Args:
        module: in any mode.
        batch: on which it is exported.
        other: of another size; the first modality is taken to be missing in some of it.
    """
    name, module = module.task.names[0], module.eval()
    other = replace(other, present=other.present | {name: torch.arange(len(other)) > 1})
    size = torch.export.Dim("batch")
    dicts = {"inputs": batch.inputs, "masks": batch.masks, "present": batch.present}
    shapes = {part: {key: {0: size} for key in values} for part, values in dicts.items()}
    program = torch.export.export(module, tuple(dicts.values()), dynamic_shapes=shapes)
    found = program.module()(other.inputs, other.masks, other.present)
    torch.testing.assert_close(found, logits_of(module, other))


def check_forward(module: FusionModule, batch: MultimodalBatch) -> None:
    """As a layer, without masks, it takes every step as real and every modality as there."""
    whole = replace(batch, masks={name: torch.ones_like(mask) for name, mask in batch.masks.items()})
    torch.testing.assert_close(module.eval()(batch.inputs), logits_of(module, whole))


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
